/**
 * Random numbers of one seed (sfc32, Chris Doty-Humphrey, PractRand). Each part of the simulation takes a fork of its own, so
 * that a choice more in one part does not change those of the others.
 */
import { murmur3 } from "../../protocol/partition-hash.ts";

const WARM_UP = 12;
const encoder = new TextEncoder();

export class Random {
  readonly #seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#seed = seed;
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    this.#c = 0x9e3779b9;
    for (let turn = 0; turn < WARM_UP; turn++) this.next();
  }

  /** Numbers of their own, the same for the same name. */
  fork(name: string): Random {
    const bytes = encoder.encode(name);
    return new Random(murmur3(bytes, bytes.length, this.#seed) + (this.#seed % 2 ** 20) * 2 ** 32);
  }

  /** At least 0, below 1. */
  next(): number {
    const result = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + result;
    return (result >>> 0) / 2 ** 32;
  }

  /** Both ends included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** Small ones are as likely as large ones: uniform in the logarithm. */
  duration(minMs: number, maxMs: number): number {
    return minMs * Math.pow(maxMs / minMs, this.next());
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.integer(0, items.length - 1)] as Item;
  }

  shuffle<Item>(items: readonly Item[]): Item[] {
    const shuffled = [...items];
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = this.integer(0, at);
      [shuffled[at], shuffled[other]] = [shuffled[other] as Item, shuffled[at] as Item];
    }
    return shuffled;
  }
}
