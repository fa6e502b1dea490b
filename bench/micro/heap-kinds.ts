/** Bytes of a V8 heap snapshot by kind of object: the constructor's name, or what V8 calls its own. */
import type { Readable } from "node:stream";
import { json } from "node:stream/consumers";

interface HeapSnapshot {
  readonly snapshot: { readonly meta: { readonly node_fields: readonly string[]; readonly node_types: readonly unknown[] } };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

const KINDS_NAMED = 8;

export async function bytesByKind(stream: Readable): Promise<Map<string, number>> {
  const { snapshot, nodes, strings } = (await json(stream)) as HeapSnapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ["type", "name", "self_size"].map((field) => fields.indexOf(field));
  const typeNames = types[typeAt ?? 0] as readonly string[];
  const sizes = new Map<string, number>();
  for (let node = 0; node < nodes.length; node += fields.length) {
    const type = typeNames[nodes[node + (typeAt ?? 0)] ?? 0] ?? "";
    const name = strings[nodes[node + (nameAt ?? 0)] ?? 0] ?? "";
    const kind = kindOf(type, name);
    sizes.set(kind, (sizes.get(kind) ?? 0) + (nodes[node + (sizeAt ?? 0)] ?? 0));
  }
  return sizes;
}

/** A text's name is the text itself. */
function kindOf(type: string, name: string): string {
  switch (type) {
    case "object":
      return name;
    case "string":
    case "concatenated string":
    case "sliced string":
      return "text";
    case "number":
      return "boxed number";
    case "array":
      return name === "" ? "elements and tables" : name;
    default:
      return type;
  }
}

/** The kinds that grew most, in bytes for each of `count` things; the rest in one. */
export function growthByKind(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  count: number,
): (readonly [kind: string, bytesEach: number])[] {
  const grown = [...after]
    .map(([kind, bytes]) => [kind, (bytes - (before.get(kind) ?? 0)) / count] as const)
    .toSorted(([, left], [, right]) => right - left);
  const rest = grown.slice(KINDS_NAMED).reduce((sum, [, bytes]) => sum + bytes, 0);
  return [...grown.slice(0, KINDS_NAMED), ["all others", rest] as const].filter(([, bytes]) => Math.abs(bytes) >= 0.5);
}
