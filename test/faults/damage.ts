/** Damage to a file at rest. All of it follows from a random number in [0, 1). */
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync, truncateSync, writeSync } from "node:fs";

export interface Damage {
  readonly what: string;
  apply(file: string): void;
}

/** One bit, anywhere in the file. */
export function bitFlip(random: () => number): Damage {
  const [place, bit] = [random(), Math.floor(random() * 8)];
  return {
    what: `bit ${bit} at ${(place * 100).toFixed(2)} % of the file`,
    apply(file) {
      flip(file, Math.floor(place * statSync(file).size), bit);
    },
  };
}

/** One bit of an event that lies in the file: near one of the places where this text stands. */
export function bitFlipNear(text: string, reachBytes: number, random: () => number): Damage {
  const [place, distance, bit] = [random(), Math.floor((random() - 0.5) * 2 * reachBytes), Math.floor(random() * 8)];
  return {
    what: `bit ${bit}, ${distance} bytes from a "${text}"`,
    apply(file) {
      const places = placesOf(readFileSync(file), text);
      if (places.length === 0) throw new Error(`no ${text} in ${file}`);
      flip(file, (places[Math.floor(place * places.length)] ?? 0) + distance, bit);
    },
  };
}

/** One bit of the format version of a journal record of this tenant. */
export function versionFlip(tenant: string, random: () => number): Damage {
  const [place, bit] = [random(), Math.floor(random() * 8)];
  return {
    what: `bit ${bit} of a record's version`,
    apply(file) {
      const bytes = readFileSync(file);
      // protocol/records.ts: version 1, kind 1, 10 bytes and the text's length, the tenant.
      const heads = placesOf(bytes, tenant).map((at) => at - 13);
      const versions = heads.filter((at) => bytes[at] === 1 && bytes[at + 1] === 1);
      if (versions.length === 0) throw new Error(`no record in ${file}`);
      flip(file, versions[Math.floor(place * versions.length)] ?? 0, bit);
    },
  };
}

export function cutTo(share: number): Damage {
  const what = share === 0 ? "cut to nothing" : `cut to ${share * 100} %`;
  return { what, apply: (file) => truncateSync(file, Math.floor(statSync(file).size * share)) };
}

/** A file that ends a page too early. */
export function cutBy(bytes: number): Damage {
  return { what: `cut by ${bytes} bytes`, apply: (file) => truncateSync(file, statSync(file).size - bytes) };
}

function flip(file: string, at: number, bit: number): void {
  const open = openSync(file, "r+");
  try {
    const offset = Math.max(0, Math.min(at, fstatSync(open).size - 1));
    const byte = Buffer.alloc(1);
    readSync(open, byte, 0, 1, offset);
    byte.writeUInt8(byte.readUInt8(0) ^ (1 << bit), 0);
    writeSync(open, byte, 0, 1, offset);
  } finally {
    closeSync(open);
  }
}

function placesOf(bytes: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}
