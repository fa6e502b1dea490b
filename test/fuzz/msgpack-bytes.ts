/** Msgpack written by hand, byte by byte, so that a frame can say what no encoder writes. */
import { Packr } from "msgpackr";

const maps = new Packr({ useRecords: false, variableMapSize: true });

/** Bytes, hex texts (blanks are ignored), and byte values, one behind the other. */
export function bytes(...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "number") return Uint8Array.of(part);
      return typeof part === "string" ? Buffer.from(part.replaceAll(" ", ""), "hex") : part;
    }),
  );
}

/** A plain value as an ordinary encoder writes it, maps as maps. */
export function pack(value: unknown): Uint8Array {
  return Uint8Array.from(maps.pack(value));
}

export function repeat(count: number, ...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  const part = bytes(...parts);
  return Buffer.alloc(count * part.length, part);
}

export function uint32(value: number): Uint8Array {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

/** The head of a list, in five bytes. */
export function listHead(count: number): Uint8Array {
  return bytes(0xdd, uint32(count));
}

export function list(items: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([listHead(items.length), ...items]);
}

/** A map whose keys and values stand as given, in this order; a key may come twice. */
export function map(...entries: readonly (readonly [key: string | Uint8Array, value: Uint8Array])[]): Uint8Array {
  const written = entries.flatMap(([key, value]) => [typeof key === "string" ? pack(key) : key, value]);
  return Buffer.concat([Uint8Array.of(0xdf), uint32(entries.length), ...written]);
}

/** A text of these bytes, whatever they are. */
export function textOf(content: Uint8Array): Uint8Array {
  return bytes(0xdb, uint32(content.length), content);
}

/** Any extension with its declared length. */
export function extension(type: number, content: Uint8Array): Uint8Array {
  return bytes(0xc9, uint32(content.length), type, content);
}

/** msgpackr: defines record shape `id` (0x40 - 0x7f); the values follow. */
export function shape(id: number, ...names: readonly string[]): Uint8Array {
  return bytes(0xd4, 0x72, id, list(names.map(pack)));
}

/** `{t: "pub", seq: 1, events: [...]}` */
export function publish(...events: readonly Uint8Array[]): Uint8Array {
  return bytes(0x83, pack("t"), pack("pub"), pack("seq"), 1, pack("events"), list(events));
}
