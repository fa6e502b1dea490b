/** Admission: bounds, pressure with hysteresis, fair places for questions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission } from "../../server/admission.ts";

const limits = { connectionsMax: 2, heldBytesMax: 100, concurrentQueriesMax: 4 };

test("bytes are bounded; pressure begins past a half and is over at a quarter", () => {
  const admission = new Admission(limits);
  let reliefs = 0;
  admission.onRelief(() => reliefs++);
  admission.reserve(50);
  assert.equal(admission.pressed, false);
  admission.reserve(1);
  assert.equal(admission.pressed, true);
  assert.throws(() => admission.reserve(50), { code: "WEIR_FLOW_OVERLOADED" });
  admission.reserve(49);
  admission.release(60);
  assert.deepEqual([admission.pressed, reliefs, admission.heldBytes], [true, 0, 40]);
  admission.release(15);
  assert.deepEqual([admission.pressed, reliefs], [false, 1]);
  admission.release(25);
  assert.deepEqual([admission.heldBytes, reliefs], [0, 1]);
});

test("connections are bounded, and none is taken while draining", () => {
  const admission = new Admission(limits);
  admission.openConnection();
  admission.openConnection();
  assert.throws(() => admission.openConnection(), { code: "WEIR_CONNECTION_LIMIT" });
  admission.closeConnection();
  admission.openConnection();
  admission.closeConnection();
  admission.startDraining();
  assert.throws(() => admission.openConnection(), { code: "WEIR_FLOW_DRAINING" });
});

test("a place is given back however the question ends", async () => {
  const admission = new Admission(limits);
  for (let count = 0; count < 5; count++) {
    await assert.rejects(
      admission.query("a", () => Promise.reject(new Error("failed"))),
      { message: "failed" },
    );
  }
  assert.equal(await admission.query("a", () => Promise.resolve(1)), 1);
});

test("one tenant gets at most half of the places", async () => {
  const admission = new Admission(limits);
  const finish: (() => void)[] = [];
  const ask = (tenant: string) => admission.query(tenant, () => new Promise<void>((resolve) => finish.push(resolve)));
  const running = [ask("a"), ask("a")];
  await assert.rejects(ask("a"), { code: "WEIR_QUERY_BUSY" });
  running.push(ask("b"), ask("b"));
  await assert.rejects(ask("c"), { code: "WEIR_QUERY_BUSY" });
  for (const each of finish) each();
  await Promise.all(running);
});
