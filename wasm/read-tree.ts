/**
 * The tree of the fields that the event schema names and of those that somebody wants, as `protocol/plain-paths.ts` writes it. A
 * node is an address.
 *
 *   node   role, shortTextFrom, inner, bytes of the name (1 each) | column, bit, required bits, buckets (4 each) | next (2) | name
 */
import { isSame } from "./read-texts";
import { treeAt } from "./read-memory";

const NODE_BYTES: usize = 128;
const NAME: usize = 24;
const BUCKETS_MASK: u32 = 63;

export const ROOT: usize = treeAt;
export const UNWANTED: usize = treeAt + NODE_BYTES;
export const ELEMENT: usize = treeAt + 2 * NODE_BYTES;

/** As in `protocol/plain-paths.ts`. */
export const ANY: u32 = 0;
export const ELEMENT_ROLE: u32 = 1;
export const TEXT: u32 = 2;
export const OPTIONAL_TEXT: u32 = 3;
export const OPTIONAL_MAP: u32 = 5;
export const EVENT_ID: u32 = 6;
export const SESSION_ID: u32 = 7;
export const USER_ID: u32 = 8;
export const EVENT_TYPE: u32 = 9;
export const LABEL: u32 = 10;
export const TIMESTAMP: u32 = 11;
export const ID: u32 = 12;

const NO_CHILDREN: u32 = 0xff;

export function roleOf(node: usize): u32 {
  return load<u8>(node);
}

export function shortTextFromOf(node: usize): u32 {
  return load<u8>(node, 1);
}

/** A number of its own for each node with children. */
export function innerOf(node: usize): u32 {
  return load<u8>(node, 2);
}

export function hasChildren(node: usize): bool {
  return load<u8>(node, 2) !== NO_CHILDREN;
}

/** Below 0: it has none. */
export function columnOf(node: usize): i32 {
  return load<i32>(node, 4);
}

export function bitOf(node: usize): u32 {
  return load<u32>(node, 8);
}

export function hasRequired(node: usize, seen: u32): bool {
  const required = load<u32>(node, 12);
  return (seen & required) === required;
}

/** The child whose name these bytes are, or UNWANTED; for nodes with children. */
export function childOf(node: usize, from: usize, length: u32): usize {
  const bucket = length === 0 ? 0 : (length * 5 + <u32>load<u8>(from) * 3 + <u32>load<u8>(from + length - 1)) & BUCKETS_MASK;
  let index: usize = load<u16>(treeAt + load<u32>(node, 16) + (bucket << 1));
  while (index !== 0) {
    const child: usize = treeAt + index * NODE_BYTES;
    if (load<u8>(child, 3) === length && isSame(child + NAME, from, length)) return child;
    index = load<u16>(child, 20);
  }
  return UNWANTED;
}
