/** The load client against servers that answer wrongly: a bench must fail then. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { SEQ_BASE } from "../../bench/frame-template.ts";
import { LoadDriver, type LoadTarget } from "../../bench/load-driver.ts";
import { startNaive } from "../../bench/servers.ts";
import { verify } from "../../bench/load/measure-server.ts";
import { canonicalWorkload, cleanWorkload, type WorkloadParameters } from "../../bench/workload.ts";

const clean: WorkloadParameters = { ...cleanWorkload, templates: 10, nowMs: Date.now() };
const canonical: WorkloadParameters = { ...canonicalWorkload, templates: 20, nowMs: Date.now() };
const closed = { kind: "closed", inFlight: 2 } as const;

/** It accepts everything, whatever it is. */
async function startCareless(context: { after(action: () => void): void }, seqs: number[] = []): Promise<LoadTarget> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  context.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket) =>
    socket.on("message", (data: Buffer) => {
      const { seq, events } = JSON.parse(data.toString()) as { seq: number; events: unknown[] };
      seqs.push(seq);
      socket.send(JSON.stringify({ t: "ack", seq, totalEvents: events.length, results: [] }));
    }),
  );
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, key: "x", codec: "json", connections: 4 };
}

test("a server that calls a duplicate accepted fails the run", async (context) => {
  const { driver } = await LoadDriver.start(await startCareless(context), clean);
  context.after(() => driver.stop());
  // The first frame has no duplicates yet.
  assert.equal((await driver.run(1, closed)).verdicts.accepted, 100);
  await assert.rejects(
    driver.run(9, closed),
    /wrong verdicts after 10 frames: \{"accepted":900.*expected \{"accepted":873,"duplicate":27/,
  );
});

test("frames that wait in the client are not overwritten by later ones of the same template", async (context) => {
  const seqs: number[] = [];
  const target = { ...(await startCareless(context, seqs)), connections: 1 };
  const { driver } = await LoadDriver.start(target, { ...clean, duplicatesPer100: 0 });
  context.after(() => driver.stop());
  // 25 MB at once, faster than they are read: more than the kernel buffers.
  const frames = 400;
  await driver.run(frames, { kind: "closed", inFlight: frames });
  assert.deepEqual(
    seqs.toSorted((left, right) => left - right),
    Array.from({ length: frames }, (_, frame) => SEQ_BASE + frame),
  );
});

test("a workload of several tenants needs a key for each", async (context) => {
  const target = await startCareless(context);
  await assert.rejects(LoadDriver.start(target, canonical), /the workload has 4 tenants, the target 1 keys/);
});

test("closed and open loops send each frame once, and a wrong count is found", async (context) => {
  const server = await startNaive();
  context.after(() => server.stop());
  const keys = await server.tenantKeys(canonical.tenants);
  const { driver } = await LoadDriver.start({ url: server.streamUrl, keys, codec: "json", connections: 6 }, canonical);
  context.after(() => driver.stop());
  const first = await driver.run(37, closed);
  assert.deepEqual(first.verdicts, { accepted: 3_700 - 3 * 37 + 12 - 3 * 37, duplicate: 3 * 37 - 12, late: 74, invalid: 37 });
  assert.equal(first.failedEvents, 111);
  const second = await driver.run(23, { kind: "open", framesPerSecond: 500 });
  assert.ok(second.durationMs >= (22 / 500) * 1_000, `${second.durationMs}`);
  await verify(server, 60, canonical);
  await assert.rejects(verify(server, 61, canonical), /wrong answer to tenant 0 after 61 frames/);
});
