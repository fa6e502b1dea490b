/**
 * What the plain reader does at each place of an event: a tree of the fields that the event schema names and of the paths that
 * somebody wants as columns. A record shape met at a node is compiled into a plan, the node of each of its fields in order;
 * plans live as long as the shape, so that frames of the same producers compile nothing.
 *
 * All places that nobody names share one node.
 */
import { assert } from "./assert.ts";
import { eventFields, type EventField } from "./event-fields.ts";
import type { FrameBytes } from "./interner.ts";
import { forEachKey, type RecordKeys, type RecordPlan } from "./plain-shapes.ts";

/** What a value must be for its event to be plain. */
export const ROLE = {
  any: 0,
  element: 1,
  text: 2,
  optionalText: 3,
  map: 4,
  optionalMap: 5,
  // Of the event itself:
  eventId: 6,
  sessionId: 7,
  userId: 8,
  eventType: 9,
  label: 10,
  timestamp: 11,
  /** One without a reader of its own. */
  id: 12,
} as const;
export type Role = (typeof ROLE)[keyof typeof ROLE];

/** Bits of a mask that stays a small integer. */
const CHILDREN_MAX = 30;
const BUCKETS = 64;

export class PathNode {
  readonly role: Role;
  readonly name: Uint8Array;
  /** Which bit says that the parent has it. */
  readonly bit: number;
  /** The column that takes the value, or -1. */
  column = -1;
  /** A text of up to 31 bytes with this token or a higher one can be passed over; 0xc0: with none. */
  shortTextFrom: number;
  childCount = 0;
  requiredMask = 0;
  /** By the number of the shape. */
  readonly plans: (RecordPlan | undefined)[] = [];
  readonly #children = new Map<string, PathNode>();
  readonly #buckets: (PathNode | undefined)[] = new Array<PathNode | undefined>(BUCKETS).fill(undefined);
  #nextInBucket: PathNode | undefined;
  /** The whole words of the name, and its last four bytes. */
  readonly #words: Int32Array;
  readonly #lastWord: number;

  constructor(role: Role, name = "", bit = 0) {
    this.role = role;
    this.name = encoder.encode(name);
    this.bit = bit;
    this.shortTextFrom = shortTextFromOf(role);
    const view = new DataView(this.name.buffer, this.name.byteOffset, this.name.length);
    this.#words = new Int32Array(this.name.length >> 2);
    for (let word = 0; word < this.#words.length; word++) this.#words[word] = view.getInt32(word * 4, true);
    this.#lastWord = this.name.length < 4 ? 0 : view.getInt32(this.name.length - 4, true);
  }

  /** The value is to be put into a column. */
  want(column: number): void {
    this.column = column;
    this.shortTextFrom = NO_SHORT_TEXT;
  }

  child(name: string): PathNode | undefined {
    return this.#children.get(name);
  }

  /** undefined: there is no bit left for it. */
  add(name: string, role: Role, isRequired = false): PathNode | undefined {
    const known = this.#children.get(name);
    if (known !== undefined || this.childCount === CHILDREN_MAX) return known;
    const node = new PathNode(role, name, 1 << this.childCount++);
    if (isRequired) this.requiredMask |= node.bit;
    this.#children.set(name, node);
    const bucket = bucketOf(node.name, 0, node.name.length);
    node.#nextInBucket = this.#buckets[bucket];
    this.#buckets[bucket] = node;
    return node;
  }

  /** The child whose name these bytes are. */
  find(frame: FrameBytes, from: number, length: number): PathNode | undefined {
    let node = this.#buckets[bucketOf(frame.bytes, from, length)];
    while (node !== undefined && !node.#isName(frame, from, length)) node = node.#nextInBucket;
    return node;
  }

  #isName({ bytes, view }: FrameBytes, from: number, length: number): boolean {
    const { name } = this;
    if (name.length !== length) return false;
    if (length < 4) {
      for (let index = 0; index < length; index++) if (name[index] !== bytes[from + index]) return false;
      return true;
    }
    const words = this.#words;
    for (let word = 0; word < words.length; word++) if (view.getInt32(from + word * 4, true) !== words[word]) return false;
    return view.getInt32(from + length - 4, true) === this.#lastWord;
  }
}

const encoder = new TextEncoder();

const EMPTY_TEXT = 0xa0;
const NO_SHORT_TEXT = 0xc0;

function shortTextFromOf(role: Role): number {
  if (role <= ROLE.optionalText) return EMPTY_TEXT;
  return role === ROLE.label ? EMPTY_TEXT + 1 : NO_SHORT_TEXT;
}

function bucketOf(bytes: Uint8Array, from: number, length: number): number {
  if (length === 0) return 0;
  return (length * 5 + (bytes[from] ?? 0) * 3 + (bytes[from + length - 1] ?? 0)) % BUCKETS;
}

/** Columns that every frame has under another name. */
const always: ReadonlySet<string> = new Set(["eventId", "sessionId", "userId", "eventType", "timestamp"]);
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/** The tree for one list of wanted paths. */
export class PathTree {
  readonly root: PathNode;
  readonly unwanted: PathNode;
  /** The column of each path that is filled while reading. */
  readonly columns = new Map<string, number>();

  constructor(wanted: readonly string[], unwanted: PathNode) {
    this.unwanted = unwanted;
    this.root = eventNode();
    for (const path of wanted) this.#want(path);
  }

  #want(path: string): void {
    const parts = path.split(".");
    // What is left out here is read from the decoded event, so it may be left out for simplicity.
    if (always.has(path) || this.columns.has(path) || !PRINTABLE_ASCII.test(path) || parts.includes("__proto__")) return;
    let node: PathNode | undefined = this.root;
    for (const part of parts) node = node?.add(part, ROLE.any);
    if (node === undefined) return;
    node.want(this.columns.size);
    this.columns.set(path, node.column);
  }
}

/** The fields of an event that have a reader of their own, since every frame has columns for them. */
const ownRoles: Readonly<Record<string, Role>> = {
  eventId: ROLE.eventId,
  sessionId: ROLE.sessionId,
  userId: ROLE.userId,
  eventType: ROLE.eventType,
};

function eventNode(): PathNode {
  const event = new PathNode(ROLE.map);
  addFields(event, eventFields);
  return event;
}

function addFields(node: PathNode, fields: readonly EventField[]): void {
  for (const field of fields) {
    const child = node.add(field.name, ownRoles[field.name] ?? roleOf(field), field.isRequired);
    assert(child !== undefined, "a node has room for all fields that the schema names");
    addFields(child, field.fields);
  }
}

function roleOf({ kind, isRequired }: EventField): Role {
  switch (kind) {
    case "id":
      return ROLE.id;
    case "label":
      return ROLE.label;
    case "timestamp":
      return ROLE.timestamp;
    case "text":
      return isRequired ? ROLE.text : ROLE.optionalText;
    case "map":
      return isRequired ? ROLE.map : ROLE.optionalMap;
  }
}

/** The plan of a shape at a node: compiled at the first meeting. */
export function planAt(node: PathNode, keys: RecordKeys, unwanted: PathNode): RecordPlan {
  const known = node.plans[keys.number];
  return known !== undefined && known.keys === keys ? known : compile(node, keys, unwanted);
}

/** Apart: a function whose variables are used in a closure takes memory at each call, also where it does not come to the closure. */
function compile(node: PathNode, keys: RecordKeys, unwanted: PathNode): RecordPlan {
  let seen = 0;
  const fields = new Array<PathNode>(keys.count).fill(unwanted);
  const shortTextFrom = new Uint8Array(keys.count).fill(unwanted.shortTextFrom);
  if (node.childCount > 0) {
    forEachKey(keys.definition, (from, length, index) => {
      const child = node.find(keys.definition, from, length);
      if (child === undefined) return;
      seen |= child.bit;
      fields[index] = child;
      shortTextFrom[index] = child.shortTextFrom;
    });
  }
  const isComplete = (seen & node.requiredMask) === node.requiredMask;
  const plan = { keys, fields, shortTextFrom, keyBytes: keys.keyBytes, isComplete };
  if (keys.number >= 0) node.plans[keys.number] = plan;
  return plan;
}

/** Trees by the list that they were made for. It goes with a registry of shapes, whose numbers its plans are filed under. */
export class PlanCache {
  readonly unwanted = new PathNode(ROLE.any);
  readonly element = new PathNode(ROLE.element);
  readonly #trees = new WeakMap<readonly string[], PathTree>();
  #lastWanted: readonly string[] | undefined;
  #lastTree: PathTree | undefined;

  treeOf(wanted: readonly string[]): PathTree {
    if (wanted === this.#lastWanted && this.#lastTree !== undefined) return this.#lastTree;
    let tree = this.#trees.get(wanted);
    if (tree === undefined) {
      tree = new PathTree(wanted, this.unwanted);
      this.#trees.set(wanted, tree);
    }
    this.#lastWanted = wanted;
    this.#lastTree = tree;
    return tree;
  }
}
