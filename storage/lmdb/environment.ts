/**
 * How Weir opens LMDB and commits to it. One environment is one folder with one ordered table of bytes.
 *
 * - A commit is LMDB's own: fdatasync of the pages, then the meta page. `overlappingSync` stays off: it measured no faster,
 *   shows others what is not yet on disk, and needs a restore rule of its own after a power loss.
 * - Writes go to lmdb's write thread as one `batch`, which is one transaction: `eventTurnBatching` is off so that nothing
 *   else joins it, and no synchronous transaction runs after opening (one could split a batch that waits for its end).
 * - The map is larger than any environment grows, so it never moves under another thread. It is address space, not memory.
 * - Threads of one process share the environment: it is opened for writing even by those who only read, since the first
 *   to open decides for all. Other processes may open it too.
 */
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { open, type RootDatabase } from "lmdb";
import { WeirError } from "../../protocol/error-codes.ts";
import { isWhole } from "./whole-file.ts";

export type ByteTable = RootDatabase<Uint8Array, Uint8Array>;

/**
 * How large an environment may become; so much address space it takes. A process has room for some dozens of TiB: a journal, of
 * which there is one for each host, may need what the disk has, while there may be hundreds of stores.
 */
export const JOURNAL_MAP_BYTES = 2 ** 40;
export const STORE_MAP_BYTES = 2 ** 38;
/** Before every other key: journal keys have 8 bytes, keys of a store begin with 0x20. */
const KIND_KEY = Uint8Array.of(0);

/**
 * Opens the environment in the folder, made when missing, and says which of `kinds` it is of; a new one is of the first. A kind
 * names what it holds and its format, such as `weir-journal/1`: WEIR_START_DATA_FORMAT when it is of another one,
 * WEIR_START_DATA_UNUSABLE when it cannot be opened. `readOnly` is for tools on a directory without a server: nothing of it
 * changes but LMDB's lock file.
 */
export function openEnvironment(
  path: string,
  kinds: readonly [string, ...string[]],
  { readOnly = false, mapBytes = JOURNAL_MAP_BYTES }: { readOnly?: boolean; mapBytes?: number } = {},
): { readonly table: ByteTable; readonly kind: string } {
  assertKept(path);
  const table = openTable(path, readOnly, mapBytes);
  const found = table.getBinary(KIND_KEY)?.toString();
  const kind = found ?? (readOnly ? undefined : kinds[0]);
  if (kind === undefined || !kinds.includes(kind)) {
    const detail = `${path} holds ${found?.slice(0, 40) ?? "nothing"} and not ${kinds[0]}.`;
    void table.close();
    throw new WeirError("WEIR_START_DATA_FORMAT", detail);
  }
  if (found === undefined) table.putSync(KIND_KEY, Buffer.from(kind));
  // Last, and only once it can be told from one that was never finished.
  if (!readOnly && !existsSync(markOf(path))) writeFileSync(markOf(path), "");
  return { table, kind };
}

/** Within a transaction: what the environment holds is of this kind from now on. */
export function setKind(table: ByteTable, kind: string): void {
  void table.put(KIND_KEY, Buffer.from(kind));
}

/** LMDB makes a file anew that was emptied or removed. The mark says that there was one. */
function assertKept(path: string): void {
  if (!existsSync(markOf(path)) || (environmentExists(path) && environmentBytes(path) > 0)) return;
  throw new WeirError("WEIR_START_DATA_UNUSABLE", `${dataFile(path)} was emptied or removed.`);
}

/** An empty file beside the data, from its first opening on. */
function markOf(path: string): string {
  return join(path, "in-use");
}

export function environmentExists(path: string): boolean {
  return existsSync(dataFile(path));
}

/** Bytes on disk. LMDB reuses pages and never gives them back. */
export function environmentBytes(path: string): number {
  return statSync(dataFile(path)).size;
}

function openTable(path: string, readOnly: boolean, mapBytes: number): ByteTable {
  if (environmentExists(path) && !isWhole(dataFile(path))) {
    throw new WeirError("WEIR_START_DATA_UNUSABLE", `${dataFile(path)} is cut short.`);
  }
  try {
    return open<Uint8Array, Uint8Array>({
      path,
      readOnly,
      noSubdir: false,
      encoding: "binary",
      keyEncoding: "binary",
      mapSize: mapBytes,
      overlappingSync: false,
      eventTurnBatching: false,
      noMemInit: true,
    });
  } catch (cause) {
    throw new WeirError("WEIR_START_DATA_UNUSABLE", path, { cause });
  }
}

function dataFile(path: string): string {
  return join(path, "data.mdb");
}
