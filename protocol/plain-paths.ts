/**
 * What the plain reader does at each place of an event: a tree of the fields that the event schema names and of the paths that
 * somebody wants as columns, written out as `wasm/read-tree.ts` reads it. All places that nobody names share one node.
 */
import { assert } from "./assert.ts";
import { eventFields, type EventField } from "./event-fields.ts";

/** What a value must be for its event to be plain. */
const ROLE = {
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
type Role = (typeof ROLE)[keyof typeof ROLE];

/** Bits of a mask that stays a small integer. */
const CHILDREN_MAX = 30;
const BUCKETS = 64;
const NODE_BYTES = 128;
const NAME_AT = 24;
const NAME_BYTES_MAX = NODE_BYTES - NAME_AT;
const BUCKETS_BYTES = 2 * BUCKETS;
const NO_CHILDREN = 0xff;

/** Paths beyond these bounds have no columns: they are read from the decoded event when somebody asks. */
const NODES_MAX = 1_024;
export const INNER_NODES_MAX = 64;
export const COLUMNS_MAX = 255;
export const TREE_BYTES_MAX = NODES_MAX * NODE_BYTES + INNER_NODES_MAX * BUCKETS_BYTES;

class PathNode {
  readonly role: Role;
  readonly name: Uint8Array;
  /** Which bit says that the parent has it. */
  readonly bit: number;
  /** The column that takes the value, or -1. */
  column = -1;
  requiredMask = 0;
  readonly children = new Map<string, PathNode>();

  constructor(role: Role, name = "", bit = 0) {
    this.role = role;
    this.name = encoder.encode(name);
    this.bit = bit;
  }

  /** undefined: there is no bit left for it. */
  add(name: string, role: Role, isRequired = false): PathNode | undefined {
    const known = this.children.get(name);
    if (known !== undefined || this.children.size === CHILDREN_MAX) return known;
    const node = new PathNode(role, name, 1 << this.children.size);
    if (isRequired) this.requiredMask |= node.bit;
    this.children.set(name, node);
    return node;
  }

  /** A text of up to 31 bytes with this token or a higher one can be passed over; 0xc0: with none. */
  get shortTextFrom(): number {
    if (this.column < 0 && this.role <= ROLE.optionalText) return EMPTY_TEXT;
    return this.column < 0 && this.role === ROLE.label ? EMPTY_TEXT + 1 : NO_SHORT_TEXT;
  }
}

const encoder = new TextEncoder();

const EMPTY_TEXT = 0xa0;
const NO_SHORT_TEXT = 0xc0;

/** Columns that every frame has under another name. */
const always: ReadonlySet<string> = new Set(["eventId", "sessionId", "userId", "eventType", "timestamp"]);
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;

/** The tree for one list of wanted paths. */
export class PathTree {
  /** The column of each path that is filled while reading. */
  readonly columns = new Map<string, number>();
  /** As it lies in the memory of the reader. */
  readonly image: Uint8Array;
  readonly #root = eventNode();

  constructor(wanted: readonly string[]) {
    for (const path of wanted) this.#want(path);
    this.image = imageOf([this.#root, new PathNode(ROLE.any), new PathNode(ROLE.element)]);
  }

  #want(path: string): void {
    const parts = path.split(".");
    // What is left out here is read from the decoded event, so it may be left out for simplicity.
    if (always.has(path) || this.columns.has(path) || !PRINTABLE_ASCII.test(path) || parts.includes("__proto__")) return;
    if (this.columns.size === COLUMNS_MAX || parts.some((part) => part.length > NAME_BYTES_MAX)) return;
    const nodes = nodesUnder([this.#root]);
    const inner = nodes.filter(({ children }) => children.size > 0);
    if (nodes.length + parts.length + 2 > NODES_MAX || inner.length + parts.length > INNER_NODES_MAX) return;
    let node: PathNode | undefined = this.#root;
    for (const part of parts) node = node?.add(part, ROLE.any);
    if (node === undefined) return;
    node.column = this.columns.size;
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

/** These, then all below them. */
function nodesUnder(tops: readonly PathNode[]): PathNode[] {
  const nodes = [...tops];
  // It grows while it is walked.
  for (const node of nodes) nodes.push(...node.children.values());
  return nodes;
}

/** The nodes, then the buckets of those with children. */
function imageOf(tops: readonly PathNode[]): Uint8Array {
  const nodes = nodesUnder(tops);
  const inner = nodes.filter(({ children }) => children.size > 0);
  const indexOf = new Map(nodes.map((node, index) => [node, index]));
  const image = new Uint8Array(nodes.length * NODE_BYTES + inner.length * BUCKETS_BYTES);
  const view = new DataView(image.buffer);
  nodes.forEach((node, index) => {
    const at = index * NODE_BYTES;
    const innerAt = inner.indexOf(node);
    view.setUint8(at, node.role);
    view.setUint8(at + 1, node.shortTextFrom);
    view.setUint8(at + 2, innerAt < 0 ? NO_CHILDREN : innerAt);
    view.setUint8(at + 3, node.name.length);
    view.setInt32(at + 4, node.column, true);
    view.setInt32(at + 8, node.bit, true);
    view.setInt32(at + 12, node.requiredMask, true);
    image.set(node.name, at + NAME_AT);
    if (innerAt < 0) return;
    const bucketsAt = nodes.length * NODE_BYTES + innerAt * BUCKETS_BYTES;
    view.setUint32(at + 16, bucketsAt, true);
    for (const child of node.children.values()) {
      const childIndex = indexOf.get(child) ?? 0;
      const bucketAt = bucketsAt + 2 * bucketOf(child.name);
      view.setUint16(childIndex * NODE_BYTES + 20, view.getUint16(bucketAt, true), true);
      view.setUint16(bucketAt, childIndex, true);
    }
  });
  return image;
}

function bucketOf(name: Uint8Array): number {
  const { length } = name;
  return length === 0 ? 0 : (length * 5 + (name[0] ?? 0) * 3 + (name[length - 1] ?? 0)) % BUCKETS;
}

/** Trees by the list that they were made for. */
export class PathTrees {
  readonly #trees = new WeakMap<readonly string[], PathTree>();

  treeOf(wanted: readonly string[]): PathTree {
    let tree = this.#trees.get(wanted);
    if (tree === undefined) {
      tree = new PathTree(wanted);
      this.#trees.set(wanted, tree);
    }
    return tree;
  }
}
