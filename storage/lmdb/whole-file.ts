/**
 * Whether an LMDB file has every page that its trees name. LMDB maps the file and does not look: a page beyond its end ends the
 * process with SIGBUS, without a word. So a file that was cut short is found before it is opened.
 *
 * A file may be shorter than its meta page says (its last pages may be free ones), so only then the trees are walked; otherwise
 * this is one look at the two meta pages. The layout is that of LMDB 0.9 with the changes of lmdb-js (mdb.c: MDB_meta, MDB_db,
 * MDB_page, MDB_node, MDB_ovpage), little-endian:
 *
 *   page    number 8 | txn 8 | 2 | flags 2 | lower 2, upper 2 or, of an overflow page, pages 4 | pointers of 2 bytes to the nodes
 *   meta    (behind a page's head) magic 4 | version 4 | 8 | 8 | db of free pages 48 | main db 48 | last page 8 | txn 8
 *   db      page size 4 | 2 | depth 2 | 8 | 8 | 8 | 8 | root 8
 *   node    low 2 | high 2 | flags 2 | key size 2 | key | data: a large value has the number of its first page, 8 bytes
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const HEAD_BYTES = 24;
const MAGIC = 0xbeefc0de;
const DBS_AT = HEAD_BYTES + 24;
const DB_BYTES = 48;
const META_BYTES = DBS_AT + 2 * DB_BYTES + 16;
const BRANCH = 1;
const LEAF = 2;
const LARGE_VALUE = 1;
const NO_ROOT = 2n ** 64n - 1n;
const DEPTH_MAX = 64;
const TRIES_MAX = 10;

interface Meta {
  readonly pageBytes: number;
  readonly roots: readonly bigint[];
  readonly lastPage: bigint;
  readonly txn: bigint;
}

/** True also for what is no LMDB file, and for one that is being written too fast to tell: LMDB itself then says what it is. */
export function isWhole(path: string): boolean {
  const file = openSync(path, "r");
  try {
    let before: Meta | undefined;
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const meta = latestMeta(file);
      // Nobody has written meanwhile, so the pages that were looked at were those of the tree.
      if (meta?.txn === before?.txn && before !== undefined) return false;
      const { size } = fstatSync(file);
      if (meta === undefined || BigInt(size) >= (meta.lastPage + 1n) * BigInt(meta.pageBytes)) return true;
      if (meta.roots.every((root) => hasPages(file, { size, pageBytes: meta.pageBytes }, root, 0))) return true;
      before = meta;
    }
    return true;
  } finally {
    closeSync(file);
  }
}

function latestMeta(file: number): Meta | undefined {
  const first = readMeta(file, 0);
  const second = first === undefined ? undefined : readMeta(file, first.pageBytes);
  return second !== undefined && first !== undefined && second.txn > first.txn ? second : first;
}

function readMeta(file: number, at: number): Meta | undefined {
  const bytes = Buffer.alloc(META_BYTES);
  if (readSync(file, bytes, 0, META_BYTES, at) < META_BYTES || bytes.readUInt32LE(HEAD_BYTES) !== MAGIC) return undefined;
  const pageBytes = bytes.readUInt32LE(DBS_AT);
  if (pageBytes < 256) return undefined;
  const roots = [0, 1].map((db) => bytes.readBigUInt64LE(DBS_AT + (db + 1) * DB_BYTES - 8));
  const end = DBS_AT + 2 * DB_BYTES;
  return { pageBytes, roots, lastPage: bytes.readBigUInt64LE(end), txn: bytes.readBigUInt64LE(end + 8) };
}

/** Whether a tree's pages are in the file, from a page downwards. */
function hasPages(file: number, bounds: { size: number; pageBytes: number }, page: bigint, depth: number): boolean {
  if (page === NO_ROOT) return true;
  const { size, pageBytes } = bounds;
  if ((page + 1n) * BigInt(pageBytes) > BigInt(size) || depth > DEPTH_MAX) return false;
  const bytes = Buffer.alloc(pageBytes);
  readSync(file, bytes, 0, pageBytes, Number(page) * pageBytes);
  const flags = bytes.readUInt16LE(18);
  // What is no page of a tree is not cut short: LMDB says what it thinks of it.
  if ((flags & (BRANCH | LEAF)) === 0) return true;
  const nodes = Math.min(bytes.readUInt16LE(20) >> 1, (pageBytes - HEAD_BYTES) >> 1);
  for (let node = 0; node < nodes; node++) {
    const at = HEAD_BYTES + bytes.readUInt16LE(HEAD_BYTES + 2 * node);
    if (at + 8 > pageBytes) continue;
    if ((flags & BRANCH) !== 0) {
      const child = BigInt(bytes.readUInt32LE(at)) + (BigInt(bytes.readUInt16LE(at + 4)) << 32n);
      if (!hasPages(file, bounds, child, depth + 1)) return false;
    } else if ((bytes.readUInt16LE(at + 4) & LARGE_VALUE) !== 0) {
      const data = at + 8 + bytes.readUInt16LE(at + 6);
      if (data + 8 > pageBytes) continue;
      const end =
        (bytes.readBigUInt64LE(data) + BigInt(Math.ceil((HEAD_BYTES + bytes.readUInt32LE(at)) / pageBytes))) * BigInt(pageBytes);
      if (end > BigInt(size)) return false;
    }
  }
  return true;
}
