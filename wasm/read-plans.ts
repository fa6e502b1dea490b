/**
 * The record shapes that a frame defines, by the low bits of their ids, and their plans: which node each field of a shape is at one
 * place of an event. All of it is made anew with each frame, at the first meeting: a key takes some nanoseconds, and so nothing is
 * kept that could be filled up. A definition costs the time of its bytes, whatever is sent.
 */
import {
  definitionsAt,
  DEFINITIONS_MAX,
  frameAt,
  NODE_PLANS_AT,
  NODE_PLANS_BYTES,
  PLANS_AT,
  PLANS_END,
  PLANS_FULL,
  treeAt,
} from "./read-memory";
import { hashText, isSame, wasAscii } from "./read-texts";
import { bitOf, childOf, hasRequired, innerOf, shortTextFromOf } from "./read-tree";
import { bigEndian16, GIVE_UP, tokenAt } from "./tokens";

const KEYS_MAX: u32 = 256;
const COMPARED_MAX: u32 = 512;
const PROTO: u64 = 0x5f6f746f72705f5f;
const PROTO_BYTES: u32 = 9;

/** Of each id: the number of its definition, how many fields, bytes of its keys and their heads, where the first key is. */
const SHAPES: usize = memory.data(64 * 16);
const SHAPE_SHIFT: u32 = 4;
let defined: u64 = 0;
/** Never the same again within a plan's life. */
let lastDefinition: u32 = 0;

export let definitionCount: u32 = 0;
let plansEnd: usize = PLANS_AT;

/** While a list of keys is looked through for doubles: their hashes, places and lengths, and by the hash the number of one, from 1. */
const KEY_HASHES: usize = memory.data(4 * 256);
const KEY_STARTS: usize = memory.data(4 * 256);
const KEY_LENGTHS: usize = memory.data(256);
const KEY_PLACES: usize = memory.data(2 * 1024);

export function openShapes(): void {
  defined = 0;
  definitionCount = 0;
  plansEnd = PLANS_AT;
}

/** Between events: no plan is in use. */
export function makeRoomForPlans(): void {
  if (plansEnd <= PLANS_FULL) return;
  forgetPlans();
  plansEnd = PLANS_AT;
}

function forgetPlans(): void {
  memory.fill(NODE_PLANS_AT, 0, NODE_PLANS_BYTES);
}

/** Takes back definitions that were read; their ids stay defined. */
export function cutDefinitions(to: u32): void {
  definitionCount = to;
}

export function isDefined(id: u32): bool {
  return ((defined >> (id & 63)) & 1) !== 0;
}

export function fieldsOf(id: u32): u32 {
  return load<u32>(SHAPES + ((id & 63) << SHAPE_SHIFT), 4);
}

export function keyBytesOf(id: u32): u32 {
  return load<u32>(SHAPES + ((id & 63) << SHAPE_SHIFT), 8);
}

export function firstKeyOf(id: u32): usize {
  return load<u32>(SHAPES + ((id & 63) << SHAPE_SHIFT), 12);
}

/** Takes the definition whose `d4 72` is here, and gives the place of its first value. */
export function define(at: usize, end: usize): usize {
  const id = tokenAt(at + 2);
  const list = tokenAt(at + 3);
  if (id < 0x40 || id >= 0x80) return GIVE_UP;
  let fields: u32 = list - 0x90;
  if (list === 0xdc) fields = bigEndian16(at + 4);
  else if (list < 0x90 || list >= 0xa0) return GIVE_UP;
  if (fields > KEYS_MAX || definitionCount === DEFINITIONS_MAX) return GIVE_UP;
  const first: usize = at + (list === 0xdc ? 6 : 4);
  const to = keysEnd(first, end, fields);
  if (to === GIVE_UP) return GIVE_UP;
  if (++lastDefinition === 0) {
    forgetPlans();
    lastDefinition = 1;
  }
  defined |= (<u64>1) << (id & 63);
  const shape: usize = SHAPES + ((id & 63) << SHAPE_SHIFT);
  store<u32>(shape, lastDefinition);
  store<u32>(shape, fields, 4);
  store<u32>(shape, <u32>(to - at - 3), 8);
  store<u32>(shape, <u32>first, 12);
  store<u32>(definitionsAt + (definitionCount++ << 2), <u32>(at - frameAt));
  return to;
}

export function keyHeadBytes(at: usize): usize {
  return tokenAt(at) === 0xd9 ? 2 : 1;
}

export function keyLength(at: usize): u32 {
  const token = tokenAt(at);
  return token === 0xd9 ? tokenAt(at + 1) : token - 0xa0;
}

/** Where a list of ASCII keys without doubles ends. */
function keysEnd(first: usize, end: usize, fields: u32): usize {
  let places: u32 = 4;
  while (places < 2 * fields) places <<= 1;
  memory.fill(KEY_PLACES, 0, places << 1);
  let compared: u32 = 0;
  let at = first;
  for (let key: u32 = 0; key < fields; key++) {
    const token = tokenAt(at);
    if (token !== 0xd9 && (token < 0xa0 || token >= 0xc0)) return GIVE_UP;
    const from: usize = at + keyHeadBytes(at);
    const length = keyLength(at);
    at = from + length;
    if (at > end) return GIVE_UP;
    const hash = hashText(from, length);
    if (!wasAscii()) return GIVE_UP;
    // msgpackr renames `__proto__`.
    if (length === PROTO_BYTES && load<u64>(from) === PROTO && tokenAt(from + 8) === 0x5f) return GIVE_UP;
    store<u32>(KEY_HASHES + (key << 2), hash);
    store<u32>(KEY_STARTS + (key << 2), <u32>from);
    store<u8>(KEY_LENGTHS + key, <u8>length);
    let place = hash & (places - 1);
    while (true) {
      const other: u32 = load<u16>(KEY_PLACES + (place << 1));
      if (other === 0) break;
      if (isTwin(key, other - 1)) return GIVE_UP;
      // Nobody's keys meet so often by chance: it is left to the reference.
      if (++compared > COMPARED_MAX) return GIVE_UP;
      place = (place + 1) & (places - 1);
    }
    store<u16>(KEY_PLACES + (place << 1), <u16>(key + 1));
  }
  return at;
}

function isTwin(left: u32, right: u32): bool {
  if (load<u32>(KEY_HASHES + (left << 2)) !== load<u32>(KEY_HASHES + (right << 2))) return false;
  const length: u32 = load<u8>(KEY_LENGTHS + left);
  if (length !== <u32>load<u8>(KEY_LENGTHS + right)) return false;
  return isSame(load<u32>(KEY_STARTS + (left << 2)), load<u32>(KEY_STARTS + (right << 2)), length);
}

/** The plan of a defined shape at a node with children; GIVE_UP: something that the node requires is not there. */
export function planAt(node: usize, id: u32): usize {
  const shape: usize = SHAPES + ((id & 63) << SHAPE_SHIFT);
  const slot: usize = NODE_PLANS_AT + (innerOf(node) << 9) + ((id & 63) << 3);
  return load<u32>(slot) === load<u32>(shape) ? <usize>load<u32>(slot, 4) : compile(node, shape, slot);
}

/** Of each field the node, and from which token on a short text can be passed over. */
function compile(node: usize, shape: usize, slot: usize): usize {
  const fields = load<u32>(shape, 4);
  const plan = plansEnd;
  const end: usize = plan + ((fields + 1) << 2);
  if (end > PLANS_END) return GIVE_UP;
  let seen: u32 = 0;
  let at: usize = load<u32>(shape, 12);
  for (let field: u32 = 0; field < fields; field++) {
    const from: usize = at + keyHeadBytes(at);
    const length = keyLength(at);
    const child = childOf(node, from, length);
    seen |= bitOf(child);
    store<u32>(plan + (field << 2), ((<u32>(child - treeAt)) << 8) | shortTextFromOf(child));
    at = from + length;
  }
  if (!hasRequired(node, seen)) return GIVE_UP;
  plansEnd = end;
  store<u32>(slot, load<u32>(shape));
  store<u32>(slot, <u32>plan, 4);
  return plan;
}

export function fieldAt(plan: usize, field: u32): u32 {
  return load<u32>(plan + (field << 2));
}

export function nodeOf(entry: u32): usize {
  return treeAt + (entry >>> 8);
}
