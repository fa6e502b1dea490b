/** Files of export jobs go with age; what is not one of them stays, whatever its age. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { Exports } from "../../server/exports.ts";
import type { JobPool } from "../../workers/pool.ts";

const NOW_MS = Date.UTC(2026, 0, 15);

test("files past retention are removed, drafts too, and their jobs are forgotten", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "weir-exports-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const logged: unknown[] = [];
  let nowMs = NOW_MS;
  const write = (file: string, ageMs: number): void => {
    writeFileSync(file, "12345");
    utimesSync(file, (NOW_MS - ageMs) / 1_000, (NOW_MS - ageMs) / 1_000);
  };
  const exports = new Exports({
    pool: {
      exportEvents: async ({ file }: { file: string }) => {
        write(file, 0);
        return { rows: 1, bytes: 5 };
      },
    } as unknown as JobPool,
    live: { clock: async () => ({ watermarkMs: 0, watermarkIngestMs: 0 }) },
    folder,
    warehouseUrl: () => "http://127.0.0.1:1",
    now: () => nowMs,
    retentionMs: 2 * DAY_MS,
    log: { info: (fields: unknown) => void logged.push(fields), error: () => assert.fail() } as never,
  });
  const id = "01234567-0123-4123-8123-0123456789ab";
  write(join(folder, `shop-${id}.ndjson`), 3 * DAY_MS);
  write(join(folder, `shop-${id}.ndjson.part`), 3 * DAY_MS);
  write(join(folder, "notes.ndjson"), 300 * DAY_MS);
  const { id: fresh } = await exports.start("shop" as TenantId, { kind: "span", fromMs: 0, toMs: 1 });
  exports.sweep();
  assert.deepEqual(readdirSync(folder).toSorted(), ["notes.ndjson", `shop-${fresh}.ndjson`]);
  assert.deepEqual(logged, [{ files: 2, bytes: 10 }]);
  assert.equal((await exports.status("shop" as TenantId, fresh))?.status, "done");

  nowMs += 2 * DAY_MS + 1_000;
  exports.sweep();
  assert.deepEqual(readdirSync(folder), ["notes.ndjson"]);
  assert.equal(await exports.status("shop" as TenantId, fresh), undefined);
});
