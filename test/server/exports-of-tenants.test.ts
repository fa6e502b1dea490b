/** A tenant's exports are its own: their ids, their places, and how long they are remembered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import { Exports } from "../../server/exports.ts";
import { createLog } from "../../server/log.ts";
import type { JobPool } from "../../workers/pool.ts";
import { temporaryFolder } from "../storage/temporary-folder.ts";

const shop = "shop" as TenantId;
const bank = "bank" as TenantId;
const span = { kind: "span", fromMs: 0, toMs: 1 } as const;

test("an export of another tenant is not there", async (t) => {
  const finish: (() => void)[] = [];
  const pool = {
    exportEvents: () => new Promise((resolve) => finish.push(() => resolve({ rows: 1, bytes: 2 }))),
  } as unknown as JobPool;
  const exports = new Exports({
    pool,
    live: { clock: async () => ({ watermarkMs: 0, watermarkIngestMs: 0 }) },
    folder: temporaryFolder(t),
    warehouseUrl: () => "http://127.0.0.1:1",
    now: () => 1,
    retentionMs: 1_000,
    log: createLog({ level: "silent" }),
  });
  const started = await exports.start(shop, span);
  assert.equal((await exports.status(shop, started.id))?.status, "running");
  assert.equal(await exports.status(bank, started.id), undefined);

  for (let count = 1; count < 4; count++) await exports.start(shop, span);
  await assert.rejects(exports.start(shop, span), { code: "WEIR_QUERY_BUSY" });
  const other = await exports.start(bank, span);
  for (const each of finish) each();
  await new Promise(setImmediate);

  for (let count = 0; count < 200; count++) {
    await exports.start(shop, span);
    finish.at(-1)?.();
    await new Promise(setImmediate);
  }
  assert.equal(await exports.status(shop, started.id), undefined, "the oldest of many is forgotten");
  assert.equal((await exports.status(bank, other.id))?.status, "done", "but not for another tenant's many");
});
