/**
 * Which records of a journal are not applied by a replay, in a file beside it: `skipped.json`. A record gets there when its
 * replay has failed twice; every later replay, by whichever host, then leaves it out in the same way, so it is written to disk
 * before the first one does. The bound keeps a fault of the code from turning a whole journal into dead letters.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { WeirError } from "../protocol/error-codes.ts";
import { limits } from "../protocol/limits.ts";

const fileSchema = z.strictObject({ offsets: z.array(z.int().min(1)) });

export function readSkipped(journalPath: string): ReadonlySet<number> {
  const file = fileOf(journalPath);
  if (!existsSync(file)) return new Set();
  try {
    return new Set(fileSchema.parse(JSON.parse(readFileSync(file, "utf8"))).offsets);
  } catch (cause) {
    throw new WeirError("WEIR_START_DATA_FORMAT", file, { cause });
  }
}

/** On disk when it returns. Throws when the journal has as many as the limit: then somebody must look. */
export function addSkipped(journalPath: string, offset: number): void {
  const offsets = new Set(readSkipped(journalPath));
  if (offsets.has(offset)) return;
  if (offsets.size >= limits.skippedRecordsMax) {
    throw new WeirError("WEIR_START_DATA_UNUSABLE", `${fileOf(journalPath)} lists ${offsets.size} records already.`);
  }
  const file = fileOf(journalPath);
  writeFileSync(`${file}.new`, `${JSON.stringify({ offsets: [...offsets, offset] })}\n`, { flush: true });
  renameSync(`${file}.new`, file);
  const folder = openSync(journalPath, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function fileOf(journalPath: string): string {
  return join(journalPath, "skipped.json");
}
