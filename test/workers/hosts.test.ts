/**
 * Real hosts on real LMDB folders, inline and in threads, one host and two: what was acknowledged is in every answer that was
 * asked for afterwards; a drained server comes back with the same answers and replays nothing; one that was only stopped comes
 * back with all that it had acknowledged; the number of hosts may change in between.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { WeirError } from "../../protocol/error-codes.ts";
import { decodeServerFrame } from "../../protocol/frames.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { FrameBatch } from "../../workers/hand-off.ts";
import { hostOfPartition, type HostOptions } from "../../workers/host-options.ts";
import { Hosts } from "../../workers/hosts.ts";
import { inlineLine } from "../../workers/line.ts";
import type { FromHost, HostLine, HostOutcome, ToHost } from "../../workers/messages.ts";
import { unpackOutcomes } from "../../workers/packed-outcomes.ts";
import { runHost } from "../../workers/partition-worker.ts";
import type { ChannelAddress, ChannelOpening } from "../../workers/ports.ts";
import { BASE_MS, rules } from "../actors/event-fixture.ts";
import { eventsBySource, frame, TENANT, type EventInput } from "./frame-fixture.ts";

const PARTITIONS = 4;
const SPAN = { fromMs: BASE_MS - 3_600_000, toMs: BASE_MS + 3_600_000 };
const NEVER_MS = 3_600_000;

function optionsOf(folder: string, hosts: number): HostOptions[] {
  const journalPaths = [0, 1].map((host) => join(folder, "hosts", `0${host}`));
  const partitionPaths = Array.from({ length: PARTITIONS }, (_, id) => ({ id, path: join(folder, "partitions", String(id)) }));
  return Array.from({ length: hosts }, (_, host) => ({
    host,
    hosts,
    partitionCount: PARTITIONS,
    journalPaths,
    partitionPaths,
    metricsPath: join(folder, "metrics"),
    rules,
    epoch: `epoch-${hosts}`,
    // Only what is asked for happens: nothing depends on a timer.
    partialEveryMs: NEVER_MS,
    snapshotEveryMs: NEVER_MS,
    journalRetentionMs: NEVER_MS,
  }));
}

class Server {
  readonly hosts: Hosts;
  readonly failures: WeirError[] = [];
  readonly count: number;
  readonly #waiting = new Map<number, (outcome: HostOutcome) => void>();
  #lastId = 0;

  constructor(
    folder: string,
    { inline, hosts = 1, partialEveryMs = NEVER_MS }: { inline: boolean; hosts?: number; partialEveryMs?: number },
  ) {
    this.count = hosts;
    this.hosts = new Hosts({
      hosts: optionsOf(folder, hosts).map((options) => ({ ...options, partialEveryMs })),
      inline,
      now: () => BASE_MS,
      onOutcomes: (_host, outcomes) => {
        for (const outcome of outcomes) this.#waiting.get(outcome.id)?.(outcome);
      },
      onFailed: (_host, error) => this.failures.push(error),
    });
  }

  /** Resolves when every share is acknowledged. */
  async publish(events: readonly EventInput[], tenant: TenantId = TENANT, ingestTimeMs = BASE_MS): Promise<HostOutcome[]> {
    const shares = new Map<number, EventInput[]>();
    for (const event of events) {
      const host = hostOfPartition(partitionOf(tenant, event.sessionId ?? "s", PARTITIONS), this.count);
      shares.set(host, [...(shares.get(host) ?? []), event]);
    }
    return Promise.all(
      [...shares].map(([host, share]) => {
        const id = ++this.#lastId;
        const acknowledged = new Promise<HostOutcome>((resolve) => this.#waiting.set(id, resolve));
        this.hosts.hand(host, frame(id, share, { tenant, ingestTimeMs }));
        return acknowledged;
      }),
    );
  }

  async bySource(tenant: TenantId = TENANT): Promise<Record<string, unknown>> {
    const [answer] = await this.hosts.query(tenant, [
      { metric: eventsBySource.name, span: SPAN, bucketMs: Infinity, keep: [0], filters: [] },
    ]);
    return Object.fromEntries((answer?.rows ?? []).map(({ dimensions, outputs }) => [dimensions[0], outputs[0]?.[0]]));
  }
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-hosts-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const events = (from: number, count: number): EventInput[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `e${from + index}`,
    sessionId: `s${(from + index) % 9}`,
    source: `src${(from + index) % 3}`,
  }));

test("a drain that comes while a snapshot is under way leaves nothing to replay", async (context) => {
  const folder = folderOf(context);
  // Many partitions: the snapshot is long under way when the drain comes.
  const partitionPaths = Array.from({ length: 64 }, (_, id) => ({ id, path: join(folder, "partitions", String(id)) }));
  const [options] = optionsOf(folder, 1).map((each) => ({ ...each, partitionPaths, partitionCount: partitionPaths.length }));
  assert.ok(options !== undefined);
  const start = async () => {
    const [line, hostEnd] = inlineLine<ToHost, FromHost>();
    const messages: FromHost[] = [];
    line.onMessage((message) => messages.push(message));
    void runHost(options, hostEnd);
    const until = async (is: (message: FromHost) => boolean): Promise<FromHost> => {
      for (;;) {
        const found = messages.find(is);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    const recovered = await until(({ type }) => type === "recovered");
    return { line, until, replayed: recovered.type === "recovered" ? recovered.replayedRecords : Number.NaN };
  };
  const publish = (line: HostLine<ToHost, FromHost>, id: number): void => {
    const batch = new FrameBatch();
    batch.add(
      frame(
        id,
        Array.from({ length: 64 }, (_, index) => ({ id: `${id}-${index}`, sessionId: `s${index}` })),
      ),
    );
    line.post({ type: "frames", ...batch.take() });
  };

  const first = await start();
  const acked = (id: number) =>
    first.until((each) => each.type === "outcomes" && unpackOutcomes(each.outcomes).some((outcome) => outcome.id === id));
  const answered = (id: number) => first.until((each) => each.type === "answer" && each.id === id);
  publish(first.line, 1);
  await acked(1);
  first.line.post({ type: "ask", id: 1, kind: "snapshot", ask: null });
  await new Promise((resolve) => setImmediate(resolve));
  publish(first.line, 2);
  await acked(2);
  first.line.post({ type: "ask", id: 2, kind: "drain", ask: null });
  await Promise.all([answered(1), answered(2)]);

  const second = await start();
  assert.equal(second.replayed, 0);
  second.line.post({ type: "ask", id: 3, kind: "drain", ask: null });
  await second.until((each) => each.type === "answer" && each.id === 3);
});

for (const [kind, inline, hosts] of [
  ["inline", true, 1],
  ["one thread", false, 1],
  ["two threads", false, 2],
  ["two inline", true, 2],
] as const) {
  test(`${kind}: publish, ask, drain, restart`, { timeout: 60_000 }, async (context) => {
    const folder = folderOf(context);
    const first = new Server(folder, { inline, hosts });
    assert.equal(await first.hosts.start(), 0);
    await first.hosts.define(TENANT, [eventsBySource]);
    for (let round = 0; round < 5; round++) {
      await first.publish(events(round * 10, 12));
      const counts = Object.values(await first.bySource()).map(Number);
      assert.equal(
        counts.reduce((sum, each) => sum + each, 0),
        round * 10 + 12,
        "every acknowledged event, each once",
      );
    }
    const ledger = { received: 60, accepted: 52, duplicate: 8, late: 0, invalid: 0 };
    assert.deepEqual(await first.hosts.ledger(TENANT), ledger);
    const answers = await answersOf(first);
    await first.hosts.drain();
    assert.deepEqual(first.failures, []);

    const second = new Server(folder, { inline, hosts });
    assert.equal(await second.hosts.start(), 0, "a drained host has nothing to replay");
    assert.deepEqual(await answersOf(second), answers);
    const again = await second.publish(events(0, 52));
    assert.ok(again.every(({ results }) => results.every(({ verdict }) => verdict === 1)));
    assert.equal(again.flatMap(({ results }) => results).length, 52);
    await second.hosts.drain();
  });
}

async function answersOf(server: Server): Promise<unknown> {
  return {
    bySource: await server.bySource(),
    session: await server.hosts.session(TENANT, "s3"),
    unknown: await server.hosts.session(TENANT, "nobody"),
    clock: await server.hosts.clock(TENANT),
    accepted: (await server.hosts.ledger(TENANT)).accepted,
  };
}

test(
  "a thread that is ended without a drain comes back with all that it had acknowledged",
  { timeout: 60_000 },
  async (context) => {
    const folder = folderOf(context);
    const first = new Server(folder, { inline: false });
    await first.hosts.start();
    await first.hosts.define(TENANT, [eventsBySource]);
    await first.publish(events(0, 30));
    const answers = await answersOf(first);
    await first.hosts.stop();
    const second = new Server(folder, { inline: false });
    assert.equal(await second.hosts.start(), 2);
    assert.deepEqual(await answersOf(second), answers);
    await second.hosts.drain();
  },
);

test("1 -> 2 -> 1 hosts: the same answers, and nothing counts twice", { timeout: 60_000 }, async (context) => {
  const folder = folderOf(context);
  let answers: unknown;
  let count = 0;
  for (const hosts of [1, 2, 1]) {
    const server = new Server(folder, { inline: true, hosts });
    await server.hosts.start();
    if (count === 0) await server.hosts.define(TENANT, [eventsBySource]);
    else assert.deepEqual(await answersOf(server), answers);
    await server.publish(events(0, (count += 20)));
    answers = await answersOf(server);
    assert.equal((await server.hosts.ledger(TENANT)).accepted, count);
    await server.hosts.drain();
    assert.deepEqual(server.failures, []);
  }
});

test(
  "metrics that come while events stream in miss nothing: live answers are those of a restart",
  { timeout: 60_000 },
  async (context) => {
    const folder = folderOf(context);
    const server = new Server(folder, { inline: false, hosts: 2, partialEveryMs: 1 });
    await server.hosts.start();
    const metrics = Array.from({ length: 12 }, (_, index) => ({ ...eventsBySource, name: `m${index}` }));
    const published: Promise<unknown>[] = [];
    for (let round = 1; round <= metrics.length; round++) {
      const defined = server.hosts.define(TENANT, metrics.slice(0, round));
      for (let batch = 0; batch < 4; batch++) {
        // Sessions of their own: a series that is not touched again must be complete all the same.
        const source = `${round}-${batch}`;
        published.push(server.publish(events(round * 1_000 + batch * 100, 9).map((each) => ({ ...each, source }))));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await defined;
    }
    await Promise.all(published);
    const live = await allMetrics(server, metrics);
    await server.hosts.drain();
    const again = new Server(folder, { inline: true, hosts: 2 });
    await again.hosts.start();
    assert.deepEqual(live, await allMetrics(again, metrics));
    await again.hosts.drain();
  },
);

async function allMetrics(server: Server, metrics: readonly { name: string }[]): Promise<unknown> {
  const answers = await server.hosts.query(
    TENANT,
    metrics.map(({ name }) => ({ metric: name, span: SPAN, bucketMs: Infinity, keep: [0], filters: [] })),
  );
  return answers.map(({ rows }) => Object.fromEntries(rows.map(({ dimensions, outputs }) => [dimensions[0], outputs[0]?.[0]])));
}

test("tenants see their own: the same ids, sessions and metrics apart", { timeout: 60_000 }, async (context) => {
  const server = new Server(folderOf(context), { inline: true });
  await server.hosts.start();
  const other = "other" as TenantId;
  for (const tenant of [TENANT, other]) await server.hosts.define(tenant, [eventsBySource]);
  await server.publish(events(0, 3));
  await server.publish(events(0, 3), other);
  await server.publish(events(3, 3), other);
  assert.deepEqual(await server.bySource(), { src0: 1, src1: 1, src2: 1 });
  assert.deepEqual(await server.bySource(other), { src0: 2, src1: 2, src2: 2 });
  assert.equal(await server.hosts.session(TENANT, "s4"), undefined);
  assert.equal((await server.hosts.session(other, "s4"))?.events, 1);
  await server.hosts.drain();
});

test(
  "dead letters are there as soon as their frame is acknowledged, latest first, as they came",
  { timeout: 60_000 },
  async (context) => {
    const server = new Server(folderOf(context), { inline: true });
    await server.hosts.start();
    await server.publish([{ id: "early", timeMs: 5 }, { id: "good" }]);
    await server.publish([{ id: "", sessionId: "s" }]);
    const letters = await server.hosts.deadLetters(TENANT, { limit: 10 });
    assert.deepEqual(
      letters
        .map(({ code, path, offset, index }) => [code, path, offset, index])
        .toSorted(([, , a], [, , b]) => Number(a) - Number(b)),
      [
        ["WEIR_EVENT_TIMESTAMP_INVALID", "timestamp", 1, 0],
        ["WEIR_EVENT_FIELD_LENGTH", "eventId", 2, 0],
      ],
    );
    const [early] = await server.hosts.deadLetters(TENANT, { limit: 1, code: "WEIR_EVENT_TIMESTAMP_INVALID" });
    assert.equal((JSON.parse(early?.raw ?? "{}") as { eventId?: string }).eventId, "early");
    assert.deepEqual(await server.hosts.deadLetters("other" as TenantId, { limit: 10 }), []);
    await server.hosts.drain();
  },
);

test("a subscriber gets a snapshot, then deltas of what is acknowledged later", { timeout: 60_000 }, async (context) => {
  const server = new Server(folderOf(context), { inline: true, partialEveryMs: 20 });
  await server.hosts.start();
  await server.hosts.define(TENANT, [eventsBySource]);
  // A channel's window runs with the wall clock.
  const nowMs = Date.now();
  await server.publish([{ id: "a", source: "web", timeMs: nowMs }], TENANT, nowMs);
  await server.bySource();
  const address: ChannelAddress = { tenant: TENANT, metric: eventsBySource.name, window: "5m", everyMs: 100 };
  let opened: (opening: ChannelOpening) => void = () => undefined;
  const open = (metric: string): Promise<ChannelOpening> =>
    new Promise((resolve) => server.hosts.open({ ...address, metric }, undefined, (opened = resolve)));
  const opening = await open(eventsBySource.name);
  assert.deepEqual(await open("nope"), { kind: "refused", code: "WEIR_METRIC_UNKNOWN" });
  assert.ok(opening.kind === "snapshot");
  assert.deepEqual(opening.rows, [{ source: "web", count: 1 }]);
  const counted = new Promise<number>((resolve) => {
    server.hosts.onDelta((_topic, bytes) => {
      const delta = decodeServerFrame(bytes);
      for (const row of delta.t === "delta" ? delta.values : []) if (row["source"] === "app") resolve(Number(row["count"]));
    });
  });
  await server.publish([{ id: "b", source: "app", timeMs: nowMs + 1 }], TENANT, nowMs);
  assert.equal(await counted, 1);
  server.hosts.close(address, opened);
  await server.hosts.drain();
});
