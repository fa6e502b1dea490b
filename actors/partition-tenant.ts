/**
 * What one partition knows of one tenant: remembered ids, sessions, partial panes, watermark, ledger. Tenants share nothing,
 * so that none can fill or read the space of another.
 */
import type { EventColumns } from "../protocol/event-columns.ts";
import { ACCEPTED, DUPLICATE, kindOf, verdictOf } from "../protocol/verdicts.ts";
import { HOUR_MS } from "../protocol/windows.ts";
import { AcceptedRows } from "./accepted-rows.ts";
import { Deduplicator, HASHED_MAX } from "./deduplicate.ts";
import type { StateReader } from "./effects.ts";
import type { MetricPlan } from "./metric-plan.ts";
import { floorTo, PaneLadder } from "./pane.ts";
import { PartialPanes } from "./partial-panes.ts";
import type { PartitionRules } from "./partition.ts";
import { PREPARED_MAX } from "./prepared-rows.ts";
import { Sessions } from "./sessions.ts";

const LATE = verdictOf("WEIR_EVENT_LATE");
/** So many rows are hashed and looked up together. */
const ROWS_TOGETHER = Math.min(HASHED_MAX, PREPARED_MAX);
/** Rows keep their frame's columns in memory: no more than a turn brings. */
const ACCEPTED_ROWS_MAX = 4_096;

/** received = accepted + duplicate + late + invalid, always. */
export interface LedgerCounts {
  received: number;
  accepted: number;
  duplicate: number;
  late: number;
  invalid: number;
}

export function emptyLedger(): LedgerCounts {
  return { received: 0, accepted: 0, duplicate: 0, late: 0, invalid: 0 };
}

export class PartitionTenant {
  readonly tenant: string;
  #rules: PartitionRules;
  readonly dedup: Deduplicator;
  readonly sessions: Sessions;
  /** By the metric's name, in the order of the plans. */
  readonly metrics = new Map<string, PartialPanes>();
  /** The same, by index, for the loop over events. */
  #panes: PartialPanes[] = [];
  readonly #ladder: PaneLadder;
  #minutePassed = false;
  readonly #accepted = new AcceptedRows();
  /** What panes and series took when so many events had been received; panes change with events only. */
  #paneBytes = 0;
  #paneBytesAt = -1;
  watermarkMs = -Infinity;
  /** Receipt of the event that set the watermark. */
  watermarkIngestMs = -Infinity;
  ledger: LedgerCounts = emptyLedger();
  /** The latest time of receipt: what the age of dead letters is measured by. */
  ingestTimeMs = -Infinity;
  /** Dead letters that went with age: kept = late + invalid - removed. */
  removedLetters = 0;
  /** Dead letters that wait for a snapshot. */
  pendingLetterBytes = 0;
  /** Touched since the last collect. */
  changed = false;

  constructor(tenant: string, rules: PartitionRules, cold: StateReader) {
    this.tenant = tenant;
    this.#rules = rules;
    this.dedup = new Deduplicator(rules.dedupKey, rules.dedupHorizonMs);
    this.sessions = new Sessions(tenant, rules, cold);
    this.#ladder = new PaneLadder(rules.paneRetention);
  }

  /** See `counted-bytes.ts`. Of a tenant that sends nothing it is not worked out again: there may be thousands of them. */
  get countedPaneBytes(): number {
    if (this.#paneBytesAt !== this.ledger.received) {
      this.#paneBytesAt = this.ledger.received;
      this.#paneBytes = 0;
      for (const panes of this.#panes) this.#paneBytes += panes.countedBytes;
    }
    return this.#paneBytes;
  }

  /** Takes the tenant's metrics as they are from now on; returns the ones that are gone or changed. */
  define(plans: readonly MetricPlan[]): PartialPanes[] {
    this.countAccepted();
    const before = new Map(this.metrics);
    this.metrics.clear();
    for (const plan of plans) {
      const { name } = plan.definition;
      const old = before.get(name);
      // Equal definitions have one plan (`MetricPlans`).
      if (old?.plan === plan) {
        this.metrics.set(name, old);
        before.delete(name);
        continue;
      }
      const panes = new PartialPanes(this.tenant, plan, this.#rules.dedupKey);
      panes.acceptedBefore = this.ledger.accepted;
      this.metrics.set(name, panes);
    }
    this.#panes = [...this.metrics.values()];
    this.#paneBytesAt = -1;
    return [...before.values()];
  }

  /**
   * Decides the events `rows[from]` to before `rows[to]` of a frame, in that order, and applies those that are accepted. Verdicts are
   * written into the columns.
   */
  applyRows(columns: EventColumns, rows: Int32Array, from: number, to: number, ingestTimeMs: number): void {
    if (from === to) return;
    this.changed = true;
    if (ingestTimeMs > this.ingestTimeMs) this.ingestTimeMs = ingestTimeMs;
    this.dedup.advance(ingestTimeMs);
    this.sessions.open(columns);
    for (let first = from; first < to; first += ROWS_TOGETHER) {
      const end = Math.min(to, first + ROWS_TOGETHER);
      this.dedup.hash(columns.eventIds, rows, first, end);
      this.sessions.prepare(columns, rows, first, end);
      for (let at = first; at < end; at++) {
        const row = rows[at] ?? 0;
        const verdict = this.#judge(columns, row, at - first);
        this.ledger.received++;
        columns.verdicts[row] = verdict;
        if (verdict === ACCEPTED) {
          this.ledger.accepted++;
          this.#count(columns, row, at - first, ingestTimeMs);
        } else {
          this.ledger[kindOf(verdict)]++;
        }
      }
    }
  }

  /**
   * Deduplication comes before lateness: a resent event that has become late was counted, and must not become a dead letter.
   * An id is remembered only when its event counts: a late or invalid one can be replayed later. `hashed`: as which number its id
   * was hashed with others.
   */
  #judge(columns: EventColumns, row: number, hashed: number): number {
    const refused = columns.verdicts[row] ?? ACCEPTED;
    if (refused !== ACCEPTED) return refused;
    if (this.dedup.lookupHashed(hashed)) return DUPLICATE;
    return (columns.eventTimesMs[row] ?? 0) < this.watermarkMs - this.#rules.allowedLatenessMs ? LATE : ACCEPTED;
  }

  #count(columns: EventColumns, row: number, prepared: number, ingestTimeMs: number): void {
    const eventTimeMs = columns.eventTimesMs[row] ?? 0;
    this.dedup.remember();
    if (eventTimeMs > this.watermarkMs) {
      this.watermarkMs = eventTimeMs;
      this.watermarkIngestMs = ingestTimeMs;
      if (this.#ladder.advance(eventTimeMs)) this.#minutePassed = true;
    }
    this.sessions.applyRow(columns, row, prepared);
    this.#accepted.push(columns, row, this.#ladder.keyAt(eventTimeMs));
  }

  /** Brings the metrics up to the events: before anything reads, ages or redefines them, and at the end of a turn. */
  countAccepted(): void {
    PartitionTenant.countAllAccepted([this]);
  }

  /**
   * The same for one tenant's rows in several partitions, metric by metric: partitions have the same plans, and what is to be done
   * for one is fresh in the processor's caches for the next. Frames of one event leave only a few rows in each partition.
   */
  static countAllAccepted(states: readonly PartitionTenant[]): void {
    let metrics = 0;
    for (const state of states) if (state.#accepted.count > 0) metrics = Math.max(metrics, state.#panes.length);
    for (let metric = 0; metric < metrics; metric++) {
      for (const state of states) if (state.#accepted.count > 0) state.#panes[metric]?.addAll(state.#accepted);
    }
    for (const state of states) if (state.#accepted.count > 0) state.#accepted.clear();
  }

  /** After a frame: what follows from the watermark having passed a minute. */
  settle(): void {
    if (this.#accepted.count >= ACCEPTED_ROWS_MAX) this.countAccepted();
    if (!this.#minutePassed) return;
    this.#minutePassed = false;
    this.countAccepted();
    for (const panes of this.#panes) panes.age(this.#ladder);
    this.sessions.close(this.watermarkMs);
  }

  /** Dead letters received before this go. By whole hours, so that a snapshot seldom has to look for some. */
  get lettersFromMs(): number {
    return floorTo(this.ingestTimeMs - this.#rules.deadLetterRetentionMs, HOUR_MS);
  }

  /** Takes other rules from now on; what they make of old panes and open sessions follows at once. */
  changeRules(rules: PartitionRules): void {
    this.countAccepted();
    this.#rules = rules;
    this.changed = true;
    this.dedup.changeHorizon(rules.dedupHorizonMs);
    this.sessions.changeRules(rules);
    if (!Number.isFinite(this.watermarkMs)) return;
    this.#ladder.changeRetention(rules.paneRetention, this.watermarkMs);
    for (const panes of this.#panes) panes.age(this.#ladder);
    this.sessions.close(this.watermarkMs);
  }

  /** Puts the ladder where the restored watermark says. */
  restoreClock(watermarkMs: number, watermarkIngestMs: number): void {
    this.watermarkMs = watermarkMs;
    this.watermarkIngestMs = watermarkIngestMs;
    this.#ladder.advance(watermarkMs);
  }
}
