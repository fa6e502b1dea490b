/** The tokens of msgpack as the slicer meets them, and the lists of keys that define record shapes. A place behind the end is NO_TOKEN. */
export const GIVE_UP = -1;
/** Stands for a token behind the end: msgpack never uses it. */
export const NO_TOKEN = 0xc1;
export const EXTENSION_RECORD = 0x72;

const KEYS_MAX = 256;

export function isListToken(token: number): boolean {
  return (token >= 0x90 && token < 0xa0) || token === 0xdc || token === 0xdd;
}

/** Bytes of a number, boolean or nil with its token; 0: it is something else, or a float 64, which has a way of its own. */
export function scalarSize(token: number): number {
  switch (token) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
      return 1;
    case 0xcc:
    case 0xd0:
      return 2;
    case 0xcd:
    case 0xd1:
      return 3;
    case 0xca:
    case 0xce:
    case 0xd2:
      return 5;
    case 0xcf:
    case 0xd3:
      return 9;
    default:
      return 0;
  }
}

/** Where a list of short text keys ends; -1: it is not one, or it goes on past the bytes. */
export function endOfKeys(bytes: Uint8Array, from: number): number {
  const { count, start } = listHead(bytes, from);
  if (count > KEYS_MAX) return -1;
  let at = start;
  for (let index = 0; index < count; index++) {
    const head = keyHead(bytes, at);
    if (head === 0) return -1;
    at += head === 1 ? (bytes[at] ?? 0) - 0x9f : (bytes[at + 1] ?? 0) + 2;
  }
  return at <= bytes.length ? at : -1;
}

/** How many keys a list has that `endOfKeys` has passed. */
export function fieldsOfKeys(bytes: Uint8Array, from: number): number {
  const token = bytes[from] ?? 0x90;
  return token < 0xa0 ? token - 0x90 : ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
}

function listHead(bytes: Uint8Array, from: number): { readonly count: number; readonly start: number } {
  const token = bytes[from] ?? 0xc1;
  if (token >= 0x90 && token < 0xa0) return { count: token - 0x90, start: from + 1 };
  if (token === 0xdc) return { count: ((bytes[from + 1] ?? 0xff) << 8) | (bytes[from + 2] ?? 0xff), start: from + 3 };
  return { count: Number.POSITIVE_INFINITY, start: from };
}

/** Bytes of the head of a text up to 255 bytes long; 0: it is something else. */
function keyHead(bytes: Uint8Array, at: number): 0 | 1 | 2 {
  const token = bytes[at] ?? 0xc1;
  if (token >= 0xa0 && token < 0xc0) return 1;
  return token === 0xd9 ? 2 : 0;
}
