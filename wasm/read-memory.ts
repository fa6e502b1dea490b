/**
 * Where things lie in the memory of the reader, and its bounds; those with a twin in `protocol/limits.ts` or `plain-paths.ts` are
 * exported, and compared when the program is loaded.
 *
 *   memory   | small tables | tree | plans | definitions | new texts | free values | texts | ids | frame | END_BYTES | columns |
 *
 * All up to the frame has its fixed place and size. Behind it the memory grows to what the largest frame and its columns took.
 */
import { END_BYTES } from "./tokens";

export const eventsMax: u32 = 10_000;
export const identifierBytesMax: u32 = 256;
export const depthMax: u32 = 8;
export const keysMax: u32 = 256;
/** Columns of wanted fields. */
export const columnsMax: u32 = 255;

/** The tree as `protocol/plain-paths.ts` writes it. */
export const treeAt: usize = 0x1_0000;
export const treeBytesMax: u32 = 0x3_0000;

/** Of each node with children and each id of a shape: the definition that its plan is of, and the plan. */
export const NODE_PLANS_AT: usize = 0x4_0000;
export const innerNodesMax: u32 = 64;
export const NODE_PLANS_BYTES: usize = 64 * 64 * 8;

export const PLANS_AT: usize = 0x5_0000;
export const PLANS_FULL: usize = 0x7_0000;
export const PLANS_END: usize = 0x9_0000;

export const definitionsAt: usize = 0x9_0000;
export const DEFINITIONS_MAX: u32 = 0x1_0000;

/** Of each new text: the value that it gets, where it stands in the frame, its length and whether it is ASCII. */
export const newTextsAt: usize = 0xd_0000;
export const NEW_TEXTS_MAX: u32 = 0x4000;
export const NEW_TEXT_BYTES: usize = 12;

/** A ring: those that were driven out last are taken last. */
export const FREE_VALUES_AT: usize = 0x10_0000;
export const FREE_VALUES_MASK: u32 = 0x1_ffff;

export const TEXTS: u32 = 0x2000;
export const TEXTS_AT: usize = 0x18_0000;
export const IDS: u32 = 0x1_0000;
export const IDS_AT: usize = 0x28_0000;

/** Those below are for values that are no texts. */
export const FIRST_VALUE: u32 = 8;
/** A frame finds as many free ones as it may have new texts, however full the tables are. */
export const valuesMax: u32 = FIRST_VALUE + TEXTS + IDS + NEW_TEXTS_MAX;

export const frameAt: usize = 0x68_0000;

const PAGE_BYTES: usize = 0x1_0000;

export function hasMemory(end: usize): bool {
  // What the compiler has placed must lie below all of these.
  if (__heap_base > treeAt) return false;
  const pages = <i32>((end + PAGE_BYTES - 1) / PAGE_BYTES);
  const more = pages - memory.size();
  return more <= 0 || memory.grow(more) >= 0;
}

/** Whether there is room for a frame of so many bytes. */
export function hasRoomFor(bytes: u32): bool {
  return hasMemory(frameAt + bytes + END_BYTES);
}
