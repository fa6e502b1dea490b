/**
 * Real hosts in threads that fail under load and come back in place (promises 1, 2, 4, 9): nothing that was acknowledged is
 * lost, whatever the sender sends again counts once, the other host goes on meanwhile, subscribers end with the right rows, and
 * in the end every answer is that of a server which was never disturbed.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { decodeServerFrame } from "../../protocol/frames.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { Ingest } from "../../server/ingest.ts";
import { inlineLife, type HostLife } from "../../workers/host-life.ts";
import { hostOfPartition, type HostOptions } from "../../workers/host-options.ts";
import { Hosts } from "../../workers/hosts.ts";
import type { ChannelAddress, ChannelOpening, PublishOutcome } from "../../workers/ports.ts";
import { BASE_MS, rules } from "../actors/event-fixture.ts";
import { FAULT_CRASH, FAULT_REPLAY, FAULT_THROW, failCommitFile, faultyEnvironment, faultyThread } from "./faulty-host.ts";
import { eventsBySource, TENANT, wireEvent, type EventInput } from "./frame-fixture.ts";

const PARTITIONS = 4;
const SPAN = { fromMs: BASE_MS - 3_600_000, toMs: BASE_MS + 3_600_000 };
const METRICS = ["by_source", "m1", "m2", "m3"].map((name) => ({ ...eventsBySource, name }));
const address: ChannelAddress = { tenant: TENANT, metric: "m1", window: "5m", everyMs: 100 };

const inlineFaulty = (options: HostOptions): HostLife => inlineLife(options, faultyEnvironment(options));

class Subject {
  readonly hosts: Hosts;
  readonly ingest: Ingest;
  readonly options: readonly HostOptions[];
  readonly failed: number[] = [];
  readonly restarted: number[] = [];
  readonly refusals: string[] = [];

  constructor(context: TestContext, { hosts = 2, launch = faultyThread, snapshotEveryMs = 150 } = {}) {
    const folder = mkdtempSync(join(tmpdir(), "weir-restart-"));
    context.after(async () => {
      await this.hosts.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    const nowMs = Date.now();
    this.options = Array.from({ length: hosts }, (_, host) => ({
      host,
      hosts,
      partitionCount: PARTITIONS,
      journalPaths: Array.from({ length: hosts }, (_each, index) => join(folder, "hosts", String(index))),
      partitionPaths: Array.from({ length: PARTITIONS }, (_each, id) => ({ id, path: join(folder, "partitions", String(id)) })),
      metricsPath: join(folder, "metrics"),
      rules,
      epoch: "first",
      partialEveryMs: 20,
      snapshotEveryMs,
      journalRetentionMs: nowMs,
    }));
    this.hosts = new Hosts({
      hosts: this.options,
      inline: false,
      launch,
      now: () => BASE_MS,
      restart: { pauseMsMin: 10, pauseMsMax: 50 },
      onOutcomes: (host, outcomes) => this.ingest.takeOutcomes(host, outcomes),
      onFailed: (host) => {
        this.failed.push(host);
        this.ingest.hostFailed(host);
      },
      onRestarted: (host) => this.restarted.push(host),
      onLost: (_host, error) => assert.fail(error),
    });
    const tenants = { isKnown: () => true, introduce: async () => undefined };
    this.ingest = new Ingest({ hosts: this.hosts, partitionCount: PARTITIONS, now: () => BASE_MS, tenants });
  }

  async start(): Promise<this> {
    await this.hosts.start();
    await this.hosts.define(TENANT, METRICS);
    return this;
  }

  publishOnce(events: readonly EventInput[]): Promise<PublishOutcome> {
    const bytes = new TextEncoder().encode(JSON.stringify(events.map(wireEvent)));
    const request = { tenant: TENANT, format: FRAME_FORMATS.json, bytes, allResults: false };
    return new Promise((resolve) => this.ingest.publish(request, resolve));
  }

  /** As a sender does: until it is answered for good. */
  async publish(events: readonly EventInput[]): Promise<PublishOutcome> {
    for (;;) {
      const outcome = await this.publishOnce(events);
      if (outcome.kind === "committed" || outcome.code !== "WEIR_HOST_FAILED") return outcome;
      this.refusals.push(outcome.code);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async answers(): Promise<unknown> {
    await until(() => this.hosts.supervision.every(({ state }) => state === "running"));
    const queries = METRICS.map(({ name }) => ({ metric: name, span: SPAN, bucketMs: Infinity, keep: [0], filters: [] }));
    const rows = await this.hosts.query(TENANT, queries);
    return rows.map(({ rows: each }) =>
      Object.fromEntries(each.map(({ dimensions, outputs }) => [dimensions[0], outputs[0]?.[0]])),
    );
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const FRAMES = 60;
const FRAME_EVENTS = 20;

function frameOf(index: number): EventInput[] {
  return Array.from({ length: FRAME_EVENTS }, (_, row) => {
    const number = index * FRAME_EVENTS + row;
    // Each frame has panes of its own: what the others counted before a failure does not come again by itself.
    const timeMs = BASE_MS - index * 50_000;
    return { id: `e${number}`, sessionId: `s${number % 37}`, source: `src${number % 5}`, timeMs };
  });
}

/** A session whose events are on the host. */
function sessionOn(host: number, hosts = 2): string {
  for (let number = 0; ; number++) {
    if (hostOfPartition(partitionOf(TENANT, `p${number}`, PARTITIONS), hosts) === host) return `p${number}`;
  }
}

/** Sends all frames from four senders; `at` is called before each. */
async function load(subject: Subject, at: (index: number) => void = () => undefined): Promise<void> {
  let next = 0;
  const sender = async (): Promise<void> => {
    while (next < FRAMES) {
      const index = next++;
      at(index);
      const outcome = await subject.publish(frameOf(index));
      assert.equal(outcome.kind, "committed");
    }
  };
  await Promise.all([sender(), sender(), sender(), sender()]);
}

async function undisturbed(context: TestContext): Promise<unknown> {
  const subject = await new Subject(context, { hosts: 1, launch: inlineFaulty }).start();
  await load(subject);
  return subject.answers();
}

const RECEIVED = FRAMES * FRAME_EVENTS;

for (const kind of ["commit", "crash", "throw"] as const) {
  test(
    `${kind}: a host fails under load and comes back; the answers are those of an undisturbed run`,
    { timeout: 120_000 },
    async (context) => {
      const expected = await undisturbed(context);
      const subject = await new Subject(context).start();
      let poison: Promise<PublishOutcome> | undefined;
      await load(subject, (index) => {
        if (index !== 15) return;
        if (kind === "commit") writeFileSync(failCommitFile({ ...subject.options[1], host: 1 } as HostOptions), "");
        else poison = subject.publish([{ id: kind === "crash" ? FAULT_CRASH : FAULT_THROW, sessionId: sessionOn(1) }]);
      });
      const outcome = await poison;
      assert.deepEqual(await subject.answers(), expected);
      assert.ok(subject.failed.length >= 1 && subject.failed.every((host) => host === 1), "only the one that was made to fail");
      assert.ok(subject.refusals.length > 0);
      const ledger = await subject.hosts.ledger(TENANT);
      assert.equal(ledger.accepted, RECEIVED);
      assert.equal(ledger.received, ledger.accepted + ledger.duplicate + ledger.late + ledger.invalid);
      if (kind === "commit") return;
      // The poison was refused in the end, and is kept.
      assert.deepEqual(outcome?.kind === "refused" && outcome.code, "WEIR_FRAME_POISONED");
      assert.ok(subject.failed.length <= 3, `${subject.failed.length} failures`);
      assert.equal(ledger.invalid, 1);
      const [letter] = await subject.hosts.deadLetters(TENANT, { limit: 10 });
      assert.equal(letter?.code, "WEIR_FRAME_POISONED");
      assert.match(letter.raw, /fault-/);
    },
  );
}

test(
  "while a host is down the other takes frames, answers for its sessions, and sends deltas",
  { timeout: 60_000 },
  async (context) => {
    const subject = await new Subject(context).start();
    await load(subject);
    const [mine, other] = [sessionOn(0), sessionOn(1)];
    writeFileSync(failCommitFile({ ...subject.options[1], host: 1 } as HostOptions), "");
    const outcome = await subject.publishOnce([{ id: "a", sessionId: other }]);
    assert.deepEqual(outcome, { kind: "refused", code: "WEIR_HOST_FAILED" });
    assert.deepEqual(
      subject.hosts.supervision.map(({ takesFrames }) => takesFrames),
      [true, false],
    );
    assert.equal((await subject.publishOnce([{ id: "b", sessionId: mine }])).kind, "committed");
    assert.equal((await subject.hosts.session(TENANT, mine))?.events, 1);
    assert.equal((await subject.publish([{ id: "a", sessionId: other }])).kind, "committed");
    await subject.answers();
    assert.equal((await subject.hosts.session(TENANT, other))?.events, 1);
    const { restarts, failures, lastError, gaveUp } = subject.hosts.supervision[1] ?? {};
    assert.deepEqual(
      { restarts, failures, lastError, gaveUp },
      { restarts: 1, failures: 1, lastError: "WEIR_JOURNAL_COMMIT_FAILED", gaveUp: false },
    );
  },
);

test(
  "subscribers of a host that comes back get a new snapshot of another epoch, then its deltas",
  { timeout: 60_000 },
  async (context) => {
    const subject = await new Subject(context).start();
    const nowMs = Date.now();
    const stamp = (id: string): EventInput => ({ id, sessionId: sessionOn(0), source: "web", timeMs: nowMs });
    // The channels of both hosts, whichever has the metric.
    const openings = new Map<string, ChannelOpening[]>(METRICS.map(({ name }) => [name, []]));
    const latest = new Map<string, number>();
    for (const [metric, each] of openings) {
      subject.hosts.open({ ...address, metric }, undefined, (opening) => {
        each.push(opening);
        if (opening.kind === "snapshot") for (const row of opening.rows) latest.set(metric, Number(row["count"]));
      });
    }
    subject.hosts.onDelta((topic, bytes) => {
      const delta = decodeServerFrame(bytes);
      if (delta.t !== "delta") return;
      const [name = ""] = delta.channel.split("@");
      assert.ok(topic.includes(name));
      for (const row of delta.values) latest.set(name, Number(row["count"]));
    });
    const all = (count: number): boolean => METRICS.every(({ name }) => latest.get(name) === count);
    // Events of today: the ingest of the subject stamps the fixture's time, which is in the past.
    const publish = (id: string): Promise<PublishOutcome> => publishNow(subject, stamp(id), nowMs);
    await publish("a");
    await until(() => all(1));
    for (const host of [0, 1]) {
      writeFileSync(failCommitFile({ ...subject.options[host], host } as HostOptions), "");
      const outcome = await subject.publishOnce([{ id: `trigger${host}`, sessionId: sessionOn(host) }]);
      assert.equal(outcome.kind, "refused");
      await until(() => subject.restarted.includes(host));
      await publish(`b${host}`);
      await until(() => all(2 + host));
    }
    for (const each of openings.values()) {
      const epochs = each.map((opening) => (opening.kind === "refused" ? opening.code : opening.epoch));
      assert.equal(epochs.length, 2, "once at the start and once after its host's failure");
      assert.notEqual(epochs[0], epochs[1]);
    }
  },
);

function publishNow(subject: Subject, event: EventInput, nowMs: number): Promise<PublishOutcome> {
  const ingest = new Ingest({
    hosts: subject.hosts,
    partitionCount: PARTITIONS,
    now: () => nowMs,
    tenants: { isKnown: () => true, introduce: async () => undefined },
  });
  const bytes = new TextEncoder().encode(JSON.stringify([wireEvent(event)]));
  return new Promise((resolve) => {
    const done = (outcome: PublishOutcome): void => resolve(outcome);
    const before = subject.ingest.takeOutcomes.bind(subject.ingest);
    subject.ingest.takeOutcomes = (host, outcomes) => {
      before(host, outcomes);
      ingest.takeOutcomes(host, outcomes);
    };
    ingest.publish({ tenant: TENANT, format: FRAME_FORMATS.json, bytes, allResults: false }, done);
  });
}

test(
  "a record whose replay fails twice is left out, for good, and its frame is a dead letter",
  { timeout: 60_000 },
  async (context) => {
    // Without snapshots everything is replayed.
    const subject = await new Subject(context, { snapshotEveryMs: 3_600_000 }).start();
    await subject.publish(frameOf(0));
    const bad = [FAULT_REPLAY, "beside"].map((id) => ({ id, sessionId: sessionOn(1) }));
    const committed = await subject.publish(bad);
    assert.ok(committed.kind === "committed");
    writeFileSync(failCommitFile({ ...subject.options[1], host: 1 } as HostOptions), "");
    await subject.publish(frameOf(1));
    await subject.answers();
    assert.equal(subject.failed.length, 3, "the commit, and the replay twice");
    const check = async (hosts: Hosts): Promise<void> => {
      const { accepted, invalid, received, duplicate, late } = await hosts.ledger(TENANT);
      assert.deepEqual({ accepted, invalid, late }, { accepted: 40, invalid: 1, late: 0 });
      assert.equal(received, accepted + duplicate + invalid);
      const [letter] = await hosts.deadLetters(TENANT, { limit: 10 });
      assert.equal(letter?.code, "WEIR_FRAME_POISONED");
      assert.equal(`1:${letter.offset}`, committed.receipt);
      assert.match(letter.raw, /beside/);
    };
    await check(subject.hosts);
    // A start of the process knows it from the disk.
    await subject.hosts.stop();
    const again = new Hosts({
      hosts: subject.options,
      inline: false,
      launch: faultyThread,
      now: () => BASE_MS,
      onOutcomes: () => undefined,
      onFailed: (_host, error) => assert.fail(error),
    });
    context.after(() => again.stop());
    await again.start();
    await check(again);
  },
);

test("inline: a failed host is opened again in the same thread", { timeout: 60_000 }, async (context) => {
  const expected = await undisturbed(context);
  const subject = await new Subject(context, { hosts: 1, launch: inlineFaulty }).start();
  await load(subject, (index) => {
    if (index === 10 || index === 30) writeFileSync(failCommitFile({ ...subject.options[0], host: 0 } as HostOptions), "");
  });
  assert.deepEqual(await subject.answers(), expected);
  assert.ok(subject.failed.length >= 1);
});
