/**
 * The data directory: where everything lies that one server keeps. `weir.json` fixes at creation what can never change.
 *
 *   weir.json          format, partition count, seed
 *   LOCK               which process has it
 *   hosts/NN/          a host's journal            partitions/NNN/   a partition's state
 *   metrics/NN/        stage 2 windows             control/          tenants, keys, metric definitions
 *
 * The server opens it; command-line tools beside a running server only read where things are.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { assert } from "../protocol/assert.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { lockDirectory } from "./directory-lock.ts";

export const DATA_FORMAT = 1;
const PARTITIONS_MAX = 1_000;
const SEED_BYTES = 16;

/**
 * What makes a directory of one format into one of the next. It runs under the lock, before anything else opens the directory,
 * and `weir.json` names the new format only after it: cut short, it runs again from its start, so it must bear that.
 */
export type Migration = (path: string) => void | Promise<void>;

/** By the format that each starts from. Empty: there has been one format so far. */
export const migrations: ReadonlyMap<number, Migration> = new Map();

/** The formats of a version of Weir; tests put others in the place of ours. */
export interface Formats {
  readonly format: number;
  readonly migrations: ReadonlyMap<number, Migration>;
}
const ours: Formats = { format: DATA_FORMAT, migrations };

const identity = z.object({
  format: z.int().min(1),
  partitions: z.int().min(1).max(PARTITIONS_MAX),
  createdMs: z.number(),
  seedHex: z.string().regex(/^[0-9a-f]{32}$/),
});
type Identity = z.output<typeof identity>;
/** A digit that has changed into another one is still a digit: the file carries a checksum. Those of older versions have none. */
const identityFile = identity
  .extend({ check: z.string().optional() })
  .refine(({ check, ...content }) => check === undefined || check === checkOf(content), "the checksum is another one");

export class DataDirectory {
  readonly path: string;
  /** Fixed at creation, whatever is configured later. */
  readonly partitionCount: number;
  readonly createdMs: number;
  /** 16 secret bytes: keys the hash of remembered event ids, so that nobody can make ids collide. */
  readonly seed: Uint8Array;
  readonly #release: () => void;

  /** Use `openDataDirectory` or `readDataDirectory`. */
  constructor(path: string, { partitions, createdMs, seedHex }: Identity, release: () => void) {
    this.path = path;
    this.partitionCount = partitions;
    this.createdMs = createdMs;
    this.seed = Uint8Array.from(Buffer.from(seedHex, "hex"));
    this.#release = release;
  }

  get controlPath(): string {
    return join(this.path, "control");
  }

  hostPath(host: number): string {
    return join(this.path, "hosts", String(host).padStart(2, "0"));
  }

  partitionPath(partition: number): string {
    assert(partition >= 0 && partition < this.partitionCount, `partition ${partition} of ${this.partitionCount}`);
    return join(this.path, "partitions", String(partition).padStart(3, "0"));
  }

  metricsPath(host: number): string {
    return join(this.path, "metrics", String(host).padStart(2, "0"));
  }

  /** Hosts that have a journal, ascending: after a restart with fewer hosts, also those that no longer run. */
  existingHosts(): readonly number[] {
    const folder = join(this.path, "hosts");
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder).filter((name) => /^\d{2,}$/.test(name));
    return names.map(Number).sort((a, b) => a - b);
  }

  /** Gives up the lock. */
  close(): void {
    this.#release();
  }
}

/**
 * Opens the directory for a server, made with `partitions` when missing or empty, and locks it. Throws
 * WEIR_START_DATA_UNUSABLE (cannot be read or written, not a directory), WEIR_START_DATA_FORMAT (unknown or newer format,
 * damaged `weir.json`), WEIR_START_DATA_IN_USE.
 */
export function openDataDirectory(path: string, { partitions, nowMs }: { partitions: number; nowMs: number }): DataDirectory {
  assert(Number.isInteger(partitions) && partitions >= 1 && partitions <= PARTITIONS_MAX, "1 to 1000 partitions");
  return usable(path, () => {
    makeFolder(resolve(path));
    const release = lockDirectory(path);
    try {
      const found = readIdentity(path, DATA_FORMAT) ?? createIdentity(path, partitions, nowMs);
      return new DataDirectory(path, found, release);
    } catch (error) {
      release();
      throw error;
    }
  });
}

/** Reads what the directory is, without a lock and without changing it. WEIR_START_DATA_UNUSABLE when it is not there. */
export function readDataDirectory(path: string): DataDirectory {
  return usable(path, () => {
    const found = readIdentity(path, DATA_FORMAT);
    if (found === undefined) throw new WeirError("WEIR_START_DATA_UNUSABLE", `${path} has no weir.json.`);
    return new DataDirectory(path, found, () => undefined);
  });
}

/**
 * Brings an older directory to the format of today, step by step, before it is opened. A directory that is missing or of today
 * is left alone, and so is a newer one: WEIR_START_DATA_FORMAT, as for one from which no migration leads. Returns the formats
 * that it has come through. The other errors are those of `openDataDirectory`.
 */
export async function migrateDataDirectory(path: string, formats: Formats = ours): Promise<readonly number[]> {
  if (usable(path, () => stepsOf(path, formats)).length === 0) return [];
  const release = usable(path, () => lockDirectory(path));
  try {
    // Again: another server may have done it meanwhile.
    const steps = stepsOf(path, formats);
    for (const from of steps) {
      await formats.migrations.get(from)?.(path);
      const identityNow = readIdentity(path, from);
      if (identityNow !== undefined) writeIdentity(path, { ...identityNow, format: from + 1 });
    }
    return steps;
  } finally {
    release();
  }
}

function stepsOf(path: string, formats: Formats): number[] {
  const found = existsSync(path) ? readIdentity(path) : undefined;
  if (found === undefined || found.format === formats.format) return [];
  const steps = Array.from({ length: Math.max(0, formats.format - found.format) }, (_, step) => found.format + step);
  if (steps.length > 0 && steps.every((from) => formats.migrations.has(from))) return steps;
  throw unknownFormat(path, found.format);
}

/** `format`: the one that it must be of. */
function readIdentity(path: string, format?: number): Identity | undefined {
  const file = join(path, "weir.json");
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, "utf8");
  let found: Identity;
  try {
    const { check: _check, ...content } = identityFile.parse(JSON.parse(text));
    found = content;
  } catch (cause) {
    throw new WeirError("WEIR_START_DATA_FORMAT", `${file} cannot be read.`, { cause });
  }
  if (format !== undefined && found.format !== format) throw unknownFormat(path, found.format);
  return found;
}

function unknownFormat(path: string, format: number): WeirError {
  return new WeirError("WEIR_START_DATA_FORMAT", `${path} is of format ${format}; this version reads ${DATA_FORMAT}.`);
}

function createIdentity(path: string, partitions: number, nowMs: number): Identity {
  // State without weir.json has lost its partition count and seed: a new one would not fit it.
  for (const folder of ["hosts", "partitions", "control"]) {
    if (existsSync(join(path, folder))) throw new WeirError("WEIR_START_DATA_FORMAT", `${path} has data but no weir.json.`);
  }
  const seedHex = randomBytes(SEED_BYTES).toString("hex");
  const created: Identity = { format: DATA_FORMAT, partitions, createdMs: nowMs, seedHex };
  writeIdentity(path, created);
  return created;
}

function checkOf({ format, partitions, createdMs, seedHex }: Identity): string {
  return createHash("sha256").update([format, partitions, createdMs, seedHex].join()).digest("hex").slice(0, 16);
}

/** All of it or nothing, and on disk when it returns. */
function writeIdentity(path: string, content: Identity): void {
  const draft = join(path, "weir.json.new");
  writeFileSync(draft, `${JSON.stringify({ ...content, check: checkOf(content) }, null, 2)}\n`, { flush: true });
  renameSync(draft, join(path, "weir.json"));
  syncFolder(path);
}

/** Not `recursive`: Node 20 then never returns where folders cannot be made, such as under /proc. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path));
  mkdirSync(path);
}

/** A rename is on disk when its folder is. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function usable<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (error instanceof WeirError || !(error instanceof Error) || !("code" in error)) throw error;
    throw new WeirError("WEIR_START_DATA_UNUSABLE", path, { cause: error });
  }
}
