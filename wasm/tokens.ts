/**
 * The tokens of msgpack as the splitter and the reader meet them. A position is an address; GIVE_UP stands for "this is nothing plain".
 * Behind a frame stand END_BYTES of NO_TOKEN, which no value begins with: a step that the token alone decides may go past the
 * end of the frame and is stopped by the next token; every other step is checked against the end where it is made. So nothing
 * ever reads what an earlier frame has left in the memory.
 */
export const GIVE_UP: usize = 0;
export const NO_TOKEN: u8 = 0xc1;
/** More than the longest step that is not checked (33 bytes), and what is read there at once. */
export const END_BYTES: usize = 64;

/** Bytes of a whole value with this token, where the token alone says it; else 0. */
const VALUE_BYTES: usize = memory.data(256);

for (let token: u32 = 0; token < 0x100; token++) store<u8>(VALUE_BYTES + token, <u8>sizeOf(token));

function sizeOf(token: u32): u32 {
  if (token < 0x40 || token >= 0xe0) return 1;
  if (token >= 0xa0 && token < 0xc0) return token - 0x9f;
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
    case 0xcb:
    case 0xcf:
    case 0xd3:
      return 9;
    default:
      return 0;
  }
}

export function tokenAt(at: usize): u32 {
  return load<u8>(at);
}

export function valueBytes(token: u32): u32 {
  return load<u8>(VALUE_BYTES + token);
}

export function isList(token: u32): bool {
  return (token >= 0x90 && token < 0xa0) || token === 0xdc || token === 0xdd;
}

/** Bytes of the head of a list. */
export function listHeadBytes(token: u32): usize {
  return token < 0xa0 ? 1 : token === 0xdc ? 3 : 5;
}

/** How many values a list has whose head is here. */
export function listLength(at: usize, token: u32): u32 {
  if (token < 0xa0) return token - 0x90;
  return token === 0xdc ? bigEndian16(at + 1) : bswap<u32>(load<u32>(at + 1));
}

export function isMap(token: u32): bool {
  return (token >= 0x80 && token < 0x90) || token === 0xde;
}

export function mapHeadBytes(token: u32): usize {
  return token === 0xde ? 3 : 1;
}

export function mapLength(at: usize, token: u32): u32 {
  return token === 0xde ? bigEndian16(at + 1) : token - 0x80;
}

export function bigEndian16(at: usize): u32 {
  return ((<u32>load<u8>(at)) << 8) | load<u8>(at + 1);
}
