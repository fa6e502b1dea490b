/**
 * A partition: the unit of state. A deterministic state machine: the same snapshot and the same journal records give the same
 * state, byte for byte. It reads no clock; times come with the records. The host calls, in this order and for each record:
 * `define` or `apply`..., then `settle`. Between records it may `collect` partials and take a `snapshot`.
 *
 * Tables in the partition's store: meta, dedup, sessions, open-sessions, session-changes, panes, dead-letters.
 */
import { assert } from "../protocol/assert.ts";
import { ByteWriter } from "../protocol/bytes.ts";
import type { EventColumns } from "../protocol/event-columns.ts";
import { NO_OFFSET, type Offset, type PartitionId } from "../protocol/ids.ts";
import { metricDefinition, type MetricDefinition } from "../protocol/metric-definition.ts";
import { ACCEPTED, isDeadLetter } from "../protocol/verdicts.ts";
import { ChangeFeed } from "./change-feed.ts";
import { writeDeadLetter, writeRowLetter } from "./dead-letter.ts";
import type { DedupKey } from "./deduplicate.ts";
import type { StateEntry, StateReader, StateWrite } from "./effects.ts";
import type { MetricPlans } from "./metric-plan.ts";
import type { PaneRetention } from "./pane.ts";
import { emptyLedger, PartitionTenant, type LedgerCounts } from "./partition-tenant.ts";
import { DEAD_LETTERS, PendingLetters } from "./pending-letters.ts";
import type { SessionRules } from "./sessions.ts";

export const SESSION_CHANGES = "session-changes";
const META_KEY = ["partition"];
const PREFIX_END = "\0";
/** What `collect` writes into; it keeps the memory of the largest collection. */
const writer = new ByteWriter(64 * 1024);
/** What a dead letter is written into. */
let letterWriter = new ByteWriter(4 * 1024);
/** A letter may be a whole frame: memory for a larger one is not kept. */
const LETTER_BYTES_KEPT = 256 * 1024;

export interface PartitionRules extends SessionRules {
  readonly dedupKey: DedupKey;
  readonly dedupHorizonMs: number;
  readonly paneRetention: PaneRetention;
  /** How long dead letters are kept, by times of receipt. */
  readonly deadLetterRetentionMs: number;
}

/** What one frame brings besides its columns. */
export interface FrameFacts {
  readonly tenant: string;
  readonly offset: Offset;
  readonly ingestTimeMs: number;
  readonly format: number;
}

/** One partition's changed partials of one tenant, on the way to stage 2. */
export interface CollectedPartials {
  readonly tenant: string;
  readonly partition: number;
  readonly watermarkMs: number;
  readonly watermarkIngestMs: number;
  readonly metrics: readonly MetricPartials[];
}

export interface MetricPartials {
  readonly name: string;
  /** The text of the definition by which the bytes were written (`MetricPlan.text`). */
  readonly definition: string;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** The meta entry of a partition's store: what its last committed snapshot covers. Infinite times are written as null. */
export interface PartitionMeta {
  host: number;
  offset: number;
  changeSeq: number;
  /** Those in force; the secret key of deduplication is not among them. */
  rules: Omit<PartitionRules, "dedupKey">;
  tenants: {
    tenant: string;
    watermarkMs: number | null;
    watermarkIngestMs: number | null;
    /** Where the time of deduplication stands; -1 before the first event. */
    dedupSlot: number;
    ledger: LedgerCounts;
    /** The latest time of receipt, and how many dead letters went with age. */
    ingestTimeMs: number | null;
    removedLetters: number;
    definitions: MetricDefinition[];
    /** Of each definition, in the same order: what ties its panes to the ledger (`PartialPanes`). */
    counted: { acceptedBefore: number | null; aged: number }[];
  }[];
}

export function readPartitionMeta(store: Pick<StateReader, "get">): PartitionMeta | undefined {
  const bytes = store.get("meta", META_KEY);
  return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as PartitionMeta);
}

export class Partition {
  readonly id: PartitionId;
  #rules: PartitionRules;
  readonly #plans: MetricPlans;
  readonly #cold: StateReader;
  readonly tenants = new Map<string, PartitionTenant>();
  /** The one that was asked for last: frames of a tenant follow one another. None is ever forgotten. */
  #lastTenant: PartitionTenant | undefined;
  #sessionChanges: ChangeFeed;
  #letters = new PendingLetters();
  /** Those of the last snapshot, until it is committed: they may not be in the store yet. */
  #leaving: PendingLetters | undefined;
  /** Up to where the store was searched for dead letters that are too old, by tenant. */
  readonly #lettersFrom = new Map<string, number>();
  #erased: StateWrite[] = [];
  /** Whose journal the offsets count in. */
  host: number;
  /** The last record of that journal that is part of the state. */
  appliedOffset: Offset = NO_OFFSET;
  /** The last record that the committed snapshot covers. */
  snapshotOffset: Offset = NO_OFFSET;
  /** There is a committed snapshot. */
  saved = false;

  constructor(id: PartitionId, host: number, rules: PartitionRules, plans: MetricPlans, cold: StateReader) {
    this.id = id;
    this.host = host;
    this.#rules = rules;
    this.#plans = plans;
    this.#cold = cold;
    this.#sessionChanges = new ChangeFeed(SESSION_CHANGES, 0);
  }

  tenant(tenant: string): PartitionTenant {
    let state = this.#known(tenant);
    if (state === undefined) this.tenants.set(tenant, (state = new PartitionTenant(tenant, this.#rules, this.#cold)));
    return state;
  }

  #known(tenant: string): PartitionTenant | undefined {
    if (this.#lastTenant?.tenant !== tenant) this.#lastTenant = this.tenants.get(tenant);
    return this.#lastTenant;
  }

  define(tenant: string, definitions: readonly MetricDefinition[]): void {
    const plans = definitions.map((definition) => this.#plans.of(definition));
    for (const gone of this.tenant(tenant).define(plans)) gone.erase(this.#erased);
  }

  /**
   * Applies the rows of a frame that belong here: those in `rows` from index `from` to before `to`, in rising order. What is refused is
   * kept as a dead letter; verdicts are in the columns afterwards.
   */
  applyRows(frame: FrameFacts, columns: EventColumns, rows: Int32Array, from: number, to: number): void {
    this.tenant(frame.tenant).applyRows(columns, rows, from, to, frame.ingestTimeMs);
    for (let at = from; at < to; at++) {
      const row = rows[at] ?? 0;
      const verdict = columns.verdicts[row] ?? ACCEPTED;
      if (isDeadLetter(verdict)) this.#keepRow(frame, columns, row, verdict);
    }
  }

  /** A frame that could not be decoded counts as one received, invalid event. */
  refuseFrame(frame: FrameFacts, verdict: number, bytes: Uint8Array): void {
    const state = this.tenant(frame.tenant);
    state.ledger.received++;
    state.ledger.invalid++;
    state.ingestTimeMs = Math.max(state.ingestTimeMs, frame.ingestTimeMs);
    const { ingestTimeMs, format } = frame;
    writeDeadLetter(letterWriter, { verdict, path: "", eventId: "", ingestTimeMs, format, raw: bytes });
    this.#keepWritten(frame, 0);
  }

  /** At the end of a turn, for each tenant of it: nothing of its frames is needed any more. */
  endTurn(tenant: string): void {
    this.#known(tenant)?.countAccepted();
  }

  settle(tenant: string, offset: Offset): void {
    this.#known(tenant)?.settle();
    assert(offset > this.appliedOffset, "records are applied in order, each once");
    this.appliedOffset = offset;
  }

  /** What changed since the last call; an empty list when nothing did. */
  collect(): CollectedPartials[] {
    const collected: CollectedPartials[] = [];
    for (const [tenant, state] of this.tenants) {
      if (!state.changed) continue;
      state.changed = false;
      state.countAccepted();
      const metrics: MetricPartials[] = [];
      for (const [name, panes] of state.metrics) {
        writer.clear();
        const count = panes.collect(writer);
        if (count > 0) metrics.push({ name, definition: panes.plan.text, count, bytes: writer.finish() });
      }
      const { watermarkMs, watermarkIngestMs } = state;
      collected.push({ tenant, partition: this.id, watermarkMs, watermarkIngestMs, metrics });
    }
    return collected;
  }

  /** Makes the next `collect` hand out everything: stage 2 starts anew. */
  recollect(): void {
    for (const state of this.tenants.values()) {
      state.changed = true;
      for (const panes of state.metrics.values()) panes.recollect();
    }
  }

  /** The same for some metrics of a tenant: their actors are new, and some may not have been there for what was handed out. */
  recollectMetrics(tenant: string, metrics: readonly string[]): void {
    const state = this.tenants.get(tenant);
    if (state === undefined) return;
    state.changed = true;
    for (const name of metrics) state.metrics.get(name)?.recollect();
  }

  /** Records up to here hold nothing for this partition that it does not have: the host has applied them all. */
  coverUpTo(offset: Offset): void {
    assert(offset >= this.appliedOffset, "a partition's offset never moves back");
    this.appliedOffset = offset;
  }

  /** From here on its events are in another host's journal, behind `offset`. */
  moveTo(host: number, offset: Offset): void {
    this.host = host;
    this.appliedOffset = offset;
    this.saved = false;
  }

  /** The snapshot that covers `offset` is on disk. */
  committed(offset: Offset): void {
    this.snapshotOffset = offset;
    this.saved = true;
    this.#leaving = undefined;
  }

  /** What dead letters hold of memory until the next snapshot. */
  get deadLetterBytes(): number {
    return this.#letters.bytes;
  }

  /**
   * The dead letters of a tenant, the latest first, as the store would have them after a snapshot; `stored` gives those that it
   * has, in the same order.
   */
  *deadLetters(tenant: string, stored: Iterable<StateEntry>): Generator<StateEntry, void> {
    const state = this.tenants.get(tenant);
    if (state === undefined) return;
    const pending = [...(this.#leaving?.of(state) ?? []), ...this.#letters.of(state)];
    pending.sort((left, right) => compareKeys(left.key, right.key));
    for (const entry of stored) {
      if (Number(entry.key[1]) < state.lettersFromMs) break;
      let last = pending.at(-1);
      for (; last !== undefined && compareKeys(last.key, entry.key) > 0; last = pending.at(-1)) {
        yield last;
        pending.pop();
      }
      // One that is leaving and has arrived.
      if (last !== undefined && compareKeys(last.key, entry.key) === 0) pending.pop();
      yield entry;
    }
    yield* pending.reverse();
  }

  /** All that changed since the last snapshot, with the offset that it covers, to be committed in one transaction. */
  snapshot(): StateWrite[] {
    const writes = this.#erased;
    this.#erased = [];
    this.#forgetLetters(writes);
    for (const [tenant, state] of this.tenants) {
      state.countAccepted();
      state.pendingLetterBytes = 0;
      state.dedup.snapshot("dedup", tenant, writes);
      state.sessions.snapshot(this.#sessionChanges, writes);
      for (const panes of state.metrics.values()) panes.snapshot(writes);
    }
    writes.push({ table: "meta", key: META_KEY, value: new TextEncoder().encode(JSON.stringify(this.#meta())) });
    return writes;
  }

  /** Takes the state from the store; true when there was one. */
  restore(): boolean {
    const meta = readPartitionMeta(this.#cold);
    if (meta === undefined) return false;
    this.host = meta.host;
    this.appliedOffset = this.snapshotOffset = meta.offset as Offset;
    this.saved = true;
    this.#sessionChanges = new ChangeFeed(SESSION_CHANGES, meta.changeSeq);
    this.#rules = { ...meta.rules, dedupKey: this.#rules.dedupKey };
    for (const saved of meta.tenants) {
      const state = this.tenant(saved.tenant);
      state.define(saved.definitions.map((definition) => this.#plans.of(metricDefinition.parse(definition))));
      state.ledger = { ...emptyLedger(), ...saved.ledger };
      state.ingestTimeMs = saved.ingestTimeMs ?? -Infinity;
      state.removedLetters = saved.removedLetters;
      saved.definitions.forEach(({ name }, index) => {
        const panes = state.metrics.get(name);
        if (panes === undefined) return;
        panes.acceptedBefore = saved.counted[index]?.acceptedBefore ?? null;
        panes.agedEvents = saved.counted[index]?.aged ?? 0;
      });
      state.dedup.restore(this.#cold.range("dedup", [saved.tenant], [saved.tenant + PREFIX_END]), saved.dedupSlot);
      state.restoreClock(saved.watermarkMs ?? -Infinity, saved.watermarkIngestMs ?? -Infinity);
      state.sessions.restore();
      for (const entry of this.#cold.range("panes", [saved.tenant], [saved.tenant + PREFIX_END])) {
        state.metrics.get(String(entry.key[1]))?.restore(entry);
      }
    }
    return true;
  }

  /**
   * Rules are part of the state: a replay decides by those that were in force, not by the configuration of today. Takes other
   * ones; true when they differ, and then a snapshot must follow before the next record.
   */
  adopt(rules: PartitionRules): boolean {
    if (JSON.stringify(rulesOf(rules)) === JSON.stringify(rulesOf(this.#rules))) return false;
    this.#rules = rules;
    for (const state of this.tenants.values()) state.changeRules(rules);
    return true;
  }

  #meta(): PartitionMeta {
    return {
      host: this.host,
      offset: this.appliedOffset,
      changeSeq: this.#sessionChanges.last,
      rules: rulesOf(this.#rules),
      tenants: [...this.tenants.values()].map((state) => ({
        tenant: state.tenant,
        watermarkMs: Number.isFinite(state.watermarkMs) ? state.watermarkMs : null,
        watermarkIngestMs: Number.isFinite(state.watermarkIngestMs) ? state.watermarkIngestMs : null,
        dedupSlot: state.dedup.slot,
        ledger: state.ledger,
        ingestTimeMs: Number.isFinite(state.ingestTimeMs) ? state.ingestTimeMs : null,
        removedLetters: state.removedLetters,
        definitions: [...state.metrics.values()].map((panes) => panes.plan.definition),
        counted: [...state.metrics.values()].map(({ acceptedBefore, agedEvents }) => ({ acceptedBefore, aged: agedEvents })),
      })),
    };
  }

  #keepRow(frame: FrameFacts, columns: EventColumns, row: number, verdict: number): void {
    writeRowLetter(letterWriter, frame, columns, row, verdict);
    this.#keepWritten(frame, row);
  }

  #keepWritten(frame: FrameFacts, row: number): void {
    const state = this.tenant(frame.tenant);
    state.pendingLetterBytes += letterWriter.length;
    this.#letters.add(state, this.host, frame, row, letterWriter);
    if (letterWriter.length > LETTER_BYTES_KEPT) letterWriter = new ByteWriter(4 * 1024);
    else letterWriter.clear();
  }

  /**
   * Takes the letters that wait, and out the ones that are too old. Which ones a snapshot leaves follows from its offset alone: all that were
   * received from a time on which the journal has set, whenever snapshots before it were taken.
   */
  #forgetLetters(writes: StateWrite[]): void {
    this.#letters.store(writes);
    this.#leaving = this.#letters;
    this.#letters = new PendingLetters();
    for (const [tenant, state] of this.tenants) {
      const { lettersFromMs } = state;
      if (!(lettersFromMs > (this.#lettersFrom.get(tenant) ?? -Infinity))) continue;
      this.#lettersFrom.set(tenant, lettersFromMs);
      for (const { key } of this.#cold.range(DEAD_LETTERS, [tenant], [tenant, lettersFromMs])) {
        writes.push({ table: DEAD_LETTERS, key, value: undefined });
        state.removedLetters++;
      }
    }
  }
}

function rulesOf(rules: PartitionRules): PartitionMeta["rules"] {
  const { gapMs, allowedLatenessMs, dedupHorizonMs, paneRetention, deadLetterRetentionMs } = rules;
  const { fineMs, minuteMs, allMs } = paneRetention;
  return { gapMs, allowedLatenessMs, dedupHorizonMs, paneRetention: { fineMs, minuteMs, allMs }, deadLetterRetentionMs };
}

/** Of dead letters of one tenant. */
function compareKeys(left: StateEntry["key"], right: StateEntry["key"]): number {
  for (let part = 1; part < left.length; part++) {
    const difference = Number(left[part]) - Number(right[part]);
    if (difference !== 0) return difference;
  }
  return 0;
}
