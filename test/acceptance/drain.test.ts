/**
 * An ordered end (SIGTERM) loses nothing, doubles nothing, and leaves nothing to do (promises 1, 2, 9): clients are told 1012,
 * come back to the next server on the same port by themselves, and go on; what stopped is snapshotted whole, so the next start
 * replays no record. No client can hold it up: neither one that does not read nor one that does not stop.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { test, type TestContext } from "node:test";
import { decode, encode } from "msgpackr";
import { WebSocket } from "ws";
import { connect, type EventInput } from "../../client/index.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { eventually } from "../support/real-server.ts";
import { ServerProcess, type Flags } from "../support/server-process.ts";
import { wireEvent } from "../workers/frame-fixture.ts";
import { FIRST_MS } from "../support/mixed-events.ts";

const TENANT = "drain";

async function started(t: TestContext, flags: Flags): Promise<{ server: ServerProcess; key: string }> {
  const server = await ServerProcess.create({ partitions: 4, ...flags });
  t.after(() => server.end());
  const key = await server.newKey(TENANT);
  await server.start();
  return { server, key };
}

async function openSocket(server: ServerProcess, key: string): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/stream`, { headers: { authorization: `Bearer ${key}` } });
  socket.on("error", () => undefined);
  await once(socket, "open");
  return socket;
}

async function assertDrained(server: ServerProcess): Promise<void> {
  assert.deepEqual(await server.run.exit, { code: 0, signal: null }, server.run.output.stderr);
  const { checks, result } = await auditDirectory(server.data);
  assert.equal(result, "balanced");
  assert.equal(checks.find(({ sum }) => sum === "replay")?.actual, 0, "the next start replays nothing");
}

for (const hostThreads of [2]) {
  test(`a stream over two restarts, ${hostThreads} host threads`, { timeout: 120_000 }, async (t) => {
    const { server, key } = await started(t, { hostThreads });
    const client = connect({ url: server.url, key, complete: false, batchEvents: 20, retry: { delayMsMax: 100 } });
    t.after(() => client.close({ timeoutMs: 0 }));
    const subscription = client.subscribe("events@24h");
    await subscription.ready;

    let streaming = true;
    let sent = 0;
    let succeeded = 0;
    const stream = (async () => {
      while (streaming) {
        const events = Array.from({ length: 20 }, (): EventInput => {
          const number = sent++;
          return wireEvent({
            id: `e${number}`,
            sessionId: `s${number % 50}`,
            timeMs: FIRST_MS + number,
          }) as unknown as EventInput;
        });
        await client.room();
        succeeded += (await client.publish(events)).successfulEvents;
      }
    })();

    for (const restart of [1, 2]) {
      const goal = succeeded + 200;
      await eventually(() => succeeded >= goal, `events are acknowledged before restart ${restart}`);
      const watcher = await openSocket(server, key);
      const told = once(watcher, "close");
      await server.stop("SIGTERM");
      assert.equal((await told)[0], 1012);
      await assertDrained(server);
      await server.start();
    }
    const goal = succeeded + 200;
    await eventually(() => succeeded >= goal, "the stream goes on after the last restart");
    streaming = false;
    await stream;

    assert.equal(succeeded, sent, "every event has an answer, and it is a good one");
    const { ledger } = await client.deadLetters({ limit: 1 });
    assert.deepEqual([ledger.accepted, ledger.late, ledger.invalid, ledger.imbalance], [sent, 0, 0, 0]);
    assert.ok(client.stats.reconnects >= 2);
    await eventually(() => [...subscription.rows.values()][0]?.["count"] === sent, "the subscriber counts every event once");
    assert.equal((await client.audit()).result, "balanced");
    await server.stop("SIGTERM");
    await assertDrained(server);
  });
}

test("a reader that does not read and a publisher that does not stop", { timeout: 120_000 }, async (t) => {
  // Far longer than this test may take: nothing of what follows is waited for that long.
  const { server, key } = await started(t, { hostThreads: 1, drainTimeoutMs: 600_000 });
  const client = connect({ url: server.url, key });
  t.after(() => client.close({ timeoutMs: 0 }));
  await client.defineMetric({ name: "wide", aggregates: ["count"], dimensions: ["source"] });
  const wide = Array.from({ length: 2_000 }, (_, index) => {
    const source = `a source with a long name, of which there are many: ${index}`;
    return wireEvent({ id: `w${index}`, sessionId: `s${index}`, timeMs: FIRST_MS, source }) as unknown as EventInput;
  });
  await client.publish(wide);

  // Each snapshot is of some 200 KB: together far more than the kernel takes for a reader that is asleep.
  const asleep = await openSocket(server, key);
  asleep.pause();
  for (let id = 0; id < 30; id++) asleep.send(encode({ t: "sub", id, channel: "wide@24h" }));

  const restless = await openSocket(server, key);
  let seq = 0;
  const publish = (): void => {
    if (restless.readyState !== WebSocket.OPEN) return;
    const events = [wireEvent({ id: `r${seq}`, sessionId: `s${seq % 9}`, timeMs: FIRST_MS + seq })];
    restless.send(encode({ t: "pub", seq: seq++, events }));
  };
  // Within its credit, or it would be closed for that, now and then before the server hears of its end.
  restless.on("message", (frame: Buffer) => {
    if (["ack", "error"].includes(String((decode(frame) as { t: unknown }).t))) publish();
  });
  for (let each = 0; each < 8; each++) publish();
  await eventually(() => seq > 200, "it publishes");

  const told = once(restless, "close");
  void server.stop("SIGTERM");
  assert.equal((await told)[0], 1012);
  await assertDrained(server);
  asleep.terminate();
});

test("a request that never ends is given up at the deadline", { timeout: 120_000 }, async (t) => {
  const { server, key } = await started(t, { hostThreads: 1, drainTimeoutMs: 300 });
  const socket = connectTcp(server.port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(
    `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[`,
  );
  await eventually(async () => (await (await fetch(`${server.url}/readyz`)).text()).length > 0, "the request is there");
  await server.stop("SIGTERM");
  await assertDrained(server);
  assert.match(server.run.output.stderr, /drain timed out/);
});
