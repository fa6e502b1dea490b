/**
 * Decodes msgpack bytes into plain values in the most careful way: the reader's way out for frames with extensions that are
 * none of ours, which msgpackr would turn into errors, sets, cycles or exceptions, and with what msgpackr reads in another way
 * with its native part than without it. It reads what `msgpack-scanner.ts` reads and agrees with msgpackr on everything else
 * (a property test holds it to that); several times slower.
 */
import {
  EXTENSION_TIMESTAMP,
  EXTENSION_UNDEFINED,
  KIND,
  malformed,
  MsgpackScanner,
  NANOSECONDS_MAX,
  NESTING_MAX,
  type RecordShape,
} from "./msgpack-scanner.ts";

/** Stands for a value that an event cannot have. No rule for plain values takes it. */
export class ForeignValue {}

/** Throws WEIR_FRAME_MALFORMED, also for bytes after the value. */
export function decodeMsgpack(bytes: Uint8Array): unknown {
  const scanner = new MsgpackScanner(bytes);
  const value = decodeNext(scanner, NESTING_MAX);
  if (!scanner.done) throw malformed();
  return value;
}

/** The value that the scanner stands before, and moves past it. */
export function decodeNext(scanner: MsgpackScanner, levels = NESTING_MAX): unknown {
  const from = scanner.at;
  const kind = scanner.next();
  const { length } = scanner;
  switch (kind) {
    case KIND.scalar:
      return scalarAt(scanner, from);
    case KIND.text:
      scanner.advance(length);
      return scanner.text(scanner.at - length, length);
    case KIND.binary:
      scanner.advance(length);
      return new ForeignValue();
    case KIND.list:
      return decodeList(scanner, length, levels - 1);
    case KIND.map:
      return decodeMap(scanner, length, levels - 1);
    case KIND.record:
      return decodeRecord(scanner, levels - 1);
    case KIND.extension:
      return decodeExtension(scanner, levels);
  }
}

function decodeList(scanner: MsgpackScanner, length: number, levels: number): unknown[] {
  if (levels < 0) throw malformed();
  const list: unknown[] = [];
  for (let index = 0; index < length; index++) list.push(decodeNext(scanner, levels));
  return list;
}

function decodeMap(scanner: MsgpackScanner, length: number, levels: number): Record<string, unknown> {
  if (levels < 0) throw malformed();
  const map: Record<string, unknown> = {};
  for (let entry = 0; entry < length; entry++) {
    const from = scanner.at;
    const key = scanner.key() ? scanner.text(scanner.at - scanner.length, scanner.length) : String(scalarAt(scanner, from));
    map[safeKey(key)] = decodeNext(scanner, levels);
  }
  return map;
}

function decodeRecord(scanner: MsgpackScanner, levels: number): Record<string, unknown> {
  const { shape } = scanner;
  if (shape === undefined || levels < 0) throw malformed();
  const record: Record<string, unknown> = {};
  let names = namesOf.get(shape);
  if (names === undefined) namesOf.set(shape, (names = scanner.fieldNames(shape).map(safeKey)));
  for (const name of names) record[name] = decodeNext(scanner, levels);
  return record;
}

/** Decoded once a shape: the names of one may be megabytes long, and ten thousand records may have it. */
const namesOf = new WeakMap<RecordShape, readonly string[]>();

/** msgpackr renames it the same way: an assignment to `__proto__` would give the map another prototype. */
function safeKey(key: string): string {
  return key === "__proto__" ? "__proto_" : key;
}

function decodeExtension(scanner: MsgpackScanner, levels: number): unknown {
  const { at, length, extensionType } = scanner;
  scanner.skipExtension(levels);
  if (extensionType === EXTENSION_UNDEFINED) return undefined;
  return extensionType === EXTENSION_TIMESTAMP ? timestampAt(scanner.view, at, length) : new ForeignValue();
}

/** The three forms of the msgpack timestamp; an invalid Date for others. */
function timestampAt(view: DataView, at: number, length: number): Date {
  switch (length) {
    case 4:
      return new Date(view.getUint32(at) * 1000);
    case 8: {
      const nanoseconds = view.getUint32(at) >>> 2;
      const seconds = (view.getUint32(at) & 3) * 2 ** 32 + view.getUint32(at + 4);
      return new Date(nanoseconds / 1_000_000 + seconds * 1000);
    }
    case 12: {
      const nanoseconds = view.getUint32(at);
      if (nanoseconds > NANOSECONDS_MAX) return new Date(Number.NaN);
      return new Date(nanoseconds / 1_000_000 + Number(view.getBigInt64(at + 4)) * 1000);
    }
    default:
      return new Date(Number.NaN);
  }
}

/** A number, boolean or null that begins at `from`; integers that a double cannot hold are BigInt. */
export function scalarAt({ bytes, view }: MsgpackScanner, from: number): number | bigint | boolean | null {
  const token = bytes[from] ?? 0xc1;
  if (token < 0x80) return token;
  if (token >= 0xe0) return token - 0x100;
  const at = from + 1;
  switch (token) {
    case 0xc0:
      return null;
    case 0xc2:
      return false;
    case 0xc3:
      return true;
    case 0xca:
      return view.getFloat32(at);
    case 0xcb:
      return view.getFloat64(at);
    case 0xcc:
      return view.getUint8(at);
    case 0xcd:
      return view.getUint16(at);
    case 0xce:
      return view.getUint32(at);
    case 0xcf:
      return numberOrBigInt(view.getBigUint64(at));
    case 0xd0:
      return view.getInt8(at);
    case 0xd1:
      return view.getInt16(at);
    case 0xd2:
      return view.getInt32(at);
    case 0xd3:
      return numberOrBigInt(view.getBigInt64(at));
    default:
      throw malformed();
  }
}

function numberOrBigInt(value: bigint): number | bigint {
  return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value;
}
