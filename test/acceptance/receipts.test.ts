/**
 * A receipt proves what was acknowledged: the server knows its own from forged ones and from those of other tenants, says what
 * the journal holds for it, when the journal has let go of it, and when it is missing. HTTP answers carry one, acks when asked.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { decode, encode } from "msgpackr";
import { WebSocket } from "ws";
import type { ReceiptAnswer } from "../../protocol/receipt-answer.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { connect, type EventInput, type PublishReceipt } from "../../client/index.ts";
import { Receipts } from "../../server/receipts.ts";
import { readDataDirectory } from "../../storage/data-directory.ts";
import { runCli } from "../cli/run-cli.ts";
import { FIRST_MS } from "../support/mixed-events.ts";
import { eventually, startRealServer, type RealServer } from "../support/real-server.ts";
import { wireEvent } from "../workers/frame-fixture.ts";

const TENANT = "shop" as TenantId;
const events = [
  ...Array.from({ length: 20 }, (_, index) => wireEvent({ id: `e${index}`, sessionId: `s${index}`, timeMs: FIRST_MS })),
  wireEvent({ id: "e0", sessionId: "s0", timeMs: FIRST_MS }),
  { ...wireEvent({ id: "bad", sessionId: "s1", timeMs: FIRST_MS }), source: 7 },
];

async function start(t: TestContext, flags: Record<string, unknown>): Promise<{ running: RealServer; key: string }> {
  const running = await startRealServer({ partitions: 4, ...flags });
  t.after(() => running.close());
  return { running, key: await running.newKey(TENANT) };
}

async function post(running: RealServer, key: string, path: string, body: unknown): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  const response = await fetch(`${running.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as Record<string, unknown>;
}

async function verify(running: RealServer, key: string, receipt: string): Promise<ReceiptAnswer> {
  return (await post(running, key, "/v1/receipts/verify", { receipt })) as unknown as ReceiptAnswer;
}

for (const hostThreads of [0, 2]) {
  test(`${hostThreads} host threads: a proof is valid for its tenant, as it is, and for nobody else`, async (t) => {
    const { running, key } = await start(t, { hostThreads });
    const answer = await post(running, key, "/v1/events", events);
    const proof = String(answer["proof"]);
    assert.ok(proof.startsWith(`v1.${String(answer["receipt"])}.22.1.`), proof);
    const { records, ...rest } = await verify(running, key, proof);
    assert.deepEqual(rest, { result: "valid", totalEvents: 22, failedEvents: 1 });
    const verdicts: Record<string, number> = {};
    for (const record of records ?? []) {
      for (const [name, count] of Object.entries(record.verdicts ?? {})) verdicts[name] = (verdicts[name] ?? 0) + count;
    }
    assert.deepEqual(verdicts, { accepted: 20, WEIR_EVENT_DUPLICATE: 1, WEIR_EVENT_FIELD_TYPE: 1 });
    assert.deepEqual(await verify(running, await running.newKey("other"), proof), { result: "forged" });
    const forged = [
      proof.replace(".22.", ".23."),
      proof.replace(".1.", ".0."),
      proof.replace(/v1\.\d+/, "v1.7"),
      `${proof}A`,
      proof.slice(0, -1),
      "v1",
      "",
    ];
    for (const text of forged.slice(0, -1)) assert.deepEqual(await verify(running, key, text), { result: "forged" }, text);
    assert.equal(((await verify(running, key, "")) as unknown as { code: string }).code, "WEIR_QUERY_INVALID");
    const stranger = new Receipts(new Uint8Array(16)).proofOf(TENANT, { receipt: "0:1", totalEvents: 1, failedEvents: 0 });
    assert.deepEqual(await verify(running, key, stranger), { result: "forged" });
    // Looking has not disturbed the hosts.
    assert.equal((await post(running, key, "/v1/events", events))["failedEvents"], 1);
  });
}

test("acks carry a proof when `hello` asked for it, and nothing new when not", async (t) => {
  const { running, key } = await start(t, { hostThreads: 1 });
  for (const receipts of [true, undefined]) {
    const socket = new WebSocket(`${running.url.replace("http", "ws")}/v1/stream`);
    await once(socket, "open");
    const ask = async (frame: object): Promise<Record<string, unknown>> => {
      socket.send(encode(frame));
      const [data] = (await once(socket, "message")) as [Buffer];
      return decode(data) as Record<string, unknown>;
    };
    await ask({ t: "hello", key, ...(receipts === undefined ? {} : { receipts }) });
    const ack = await ask({ t: "pub", seq: 1, events: events.slice(0, 2) });
    assert.equal(ack["t"], "ack");
    if (receipts === true) assert.equal((await verify(running, key, String(ack["proof"]))).result, "valid");
    else
      assert.deepEqual(
        Object.keys(ack).filter((name) => name === "proof"),
        [],
      );
    socket.terminate();
  }
});

test("the client hands on the proof of each frame, with the ids in it", async (t) => {
  const { running, key } = await start(t, { hostThreads: 2 });
  const receipts: PublishReceipt[] = [];
  const onReceipt = (receipt: PublishReceipt): void => void receipts.push(receipt);
  const client = connect({ url: running.url, key, complete: false, batchEvents: 5, onReceipt });
  t.after(() => client.close({ timeoutMs: 0 }));
  await client.publish(events.slice(0, 20) as unknown as EventInput[]);
  const ids = events.slice(0, 20).map(({ eventId }) => eventId);
  assert.deepEqual(new Set(receipts.flatMap(({ eventIds }) => eventIds)), new Set(ids));
  for (const { proof, eventIds } of receipts) {
    const { result, totalEvents } = await client.verifyReceipt(proof);
    assert.deepEqual([result, totalEvents], ["valid", eventIds.length]);
  }
});

test("a record that is trimmed is gone, one that is missing is lost; offline too", async (t) => {
  const running = await startRealServer({ partitions: 4, hostThreads: 1, journalRetentionMs: 0, snapshotEveryMs: 100 });
  t.after(() => rmSync(running.data, { recursive: true, force: true }));
  const key = await running.newKey(TENANT);
  const proof = String((await post(running, key, "/v1/events", events))["proof"]);
  await eventually(async () => (await verify(running, key, proof)).result === "gone", "the record is trimmed");
  const receipts = new Receipts(readDataDirectory(running.data).seed);
  const missing = receipts.proofOf(TENANT, { receipt: "0:1000000", totalEvents: 1, failedEvents: 0 });
  const elsewhere = receipts.proofOf(TENANT, { receipt: "77:1", totalEvents: 1, failedEvents: 0 });
  for (const receipt of [missing, elsewhere]) assert.equal((await verify(running, key, receipt)).result, "lost");
  const env = { WEIR_URL: running.url, WEIR_KEY: key };
  const beside = await runCli(["audit", "--receipt", missing], { env });
  assert.deepEqual([beside.code, beside.stdout.split(":")[0]], [1, "lost"]);

  await running.server.drain();
  for (const [receipt, tenant, code, result] of [
    [proof, TENANT, 0, "gone"],
    [proof, "other", 1, "forged"],
    [missing, TENANT, 1, "lost"],
  ] as const) {
    const offline = await runCli(["audit", "--data", running.data, "--tenant", tenant, "--receipt", receipt, "--json"]);
    assert.equal(offline.code, code, offline.stderr);
    assert.equal((JSON.parse(offline.stdout) as ReceiptAnswer).result, result);
  }
  assert.equal((await runCli(["audit", "--data", running.data, "--receipt", proof])).code, 64);
});
