/**
 * The fast way of `splitFrame`: one pass over the bytes of a msgpack frame, for frames as clients send them, as WebAssembly
 * (`wasm/split-frame.ts`). It makes no object for an event; shares are copied run by run. What is not plain (a shape that is
 * defined twice, a session id that is not ASCII, an extension, deep nesting, more bytes than a client may send at once) is left
 * to the general way, which splits any frame. `split-laws.ts` (in the tests) holds both to the same laws, and
 * `npm run bench -- path` shows what it buys.
 *
 *   frame   {t, seq, events: [A, b, c, D, e]}          A, D: events that define record shapes
 *   share   {shapes: [every shape of the frame, as a record of nils], events: [a, b, e]}
 *
 * An event may use shapes that another one defined. So a share begins with all of them, and its events keep their references;
 * where an event defined a shape there is a reference now. An integer 64-127 reads as such a reference once its shape is
 * defined: a frame that has one before the definition is not plain.
 */
import type { PartitionId } from "./ids.ts";
import { limits } from "./limits.ts";
import { shareGrowthMax } from "./msgpack-slices.ts";
import { setTenantOf, type SessionProgram } from "./session-program.ts";

/** One host's part of a frame. `bytes` are overwritten by the next call. */
export interface PlainShare {
  readonly host: number;
  readonly bytes: Uint8Array;
  /** Row of the share -> row of the frame. */
  readonly indexes: readonly number[];
}

export interface PlainSplit {
  readonly bytes: Uint8Array;
  readonly tenant: string;
  readonly partitionCount: number;
  /** Says the same of a partition each time it is asked. */
  readonly hostOf: (partition: PartitionId) => number;
}

/** What `wasm/split-frame.ts` exports; addresses are in bytes. */
export interface SplitProgram extends SessionProgram {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly hostOfPartition: { readonly value: number };
  readonly partitionsMax: { readonly value: number };
  readonly shares: { readonly value: number };
  readonly rows: { readonly value: number };
  roomFor(bytes: number): number;
  split(bytes: number, partitionCount: number, sharesBytesMax: number): number;
}

const HOSTS_MAX = 256;
const SHARE_WORDS = 4;

export class PlainSplitter {
  readonly #program: SplitProgram;
  /** Places in the views below. */
  readonly #sharesAt: number;
  readonly #rowsAt: number;
  #tenant: string | undefined;
  #hostOf: PlainSplit["hostOf"] | undefined;
  #partitionCount = 0;
  /** Views of the memory, which end when it grows. */
  #bytes = new Uint8Array(0);
  #words = new Uint32Array(0);
  #rows = new Uint16Array(0);
  /** Frames up to this size go to this place. */
  #roomBytes = -1;
  #frameAt = 0;

  constructor(program: SplitProgram) {
    this.#program = program;
    this.#sharesAt = program.shares.value >> 2;
    this.#rowsAt = program.rows.value >> 1;
  }

  /** The shares of a frame; one host: all events are that host's; undefined: it is not plain. */
  split({ bytes, tenant, partitionCount, hostOf }: PlainSplit): PlainShare[] | number | undefined {
    if (!this.#hasRoomFor(bytes.length)) return undefined;
    if (tenant !== this.#tenant && !this.#setTenant(tenant)) return undefined;
    if ((hostOf !== this.#hostOf || partitionCount !== this.#partitionCount) && !this.#setHosts(hostOf, partitionCount)) {
      return undefined;
    }
    this.#bytes.set(bytes, this.#frameAt);
    const count = this.#program.split(bytes.length, partitionCount, shareGrowthMax(bytes.length));
    if (this.#bytes.length === 0) this.#view();
    if (count === 0) return undefined;
    return count === 1 ? this.#words[this.#sharesAt] : this.#shares(count);
  }

  #shares(count: number): PlainShare[] {
    const words = this.#words;
    const shares: PlainShare[] = [];
    let at = this.#sharesAt;
    let row = this.#rowsAt;
    for (let index = 0; index < count; index++, at += SHARE_WORDS) {
      const bytes = this.#bytes.subarray(words[at + 1], words[at + 2]);
      const end = row + (words[at + 3] ?? 0);
      shares.push({ host: words[at] ?? 0, bytes, indexes: this.#indexes(row, end) });
      row = end;
    }
    return shares;
  }

  #indexes(from: number, end: number): number[] {
    const rows = this.#rows;
    const indexes = new Array<number>(end - from);
    for (let row = from; row < end; row++) indexes[row - from] = rows[row] ?? 0;
    return indexes;
  }

  #hasRoomFor(bytes: number): boolean {
    if (bytes <= this.#roomBytes) return true;
    if (bytes > limits.frameBytesMax) return false;
    const at = this.#program.roomFor(bytes);
    if (at === 0) return false;
    this.#frameAt = at;
    this.#roomBytes = bytes;
    this.#view();
    return true;
  }

  #view(): void {
    const { buffer } = this.#program.memory;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#rows = new Uint16Array(buffer);
  }

  #setTenant(tenant: string): boolean {
    if (!setTenantOf(this.#program, this.#bytes, tenant)) return false;
    this.#tenant = tenant;
    return true;
  }

  #setHosts(hostOf: PlainSplit["hostOf"], partitionCount: number): boolean {
    const { hostOfPartition, partitionsMax } = this.#program;
    this.#hostOf = undefined;
    if (partitionCount > partitionsMax.value) return false;
    for (let partition = 0; partition < partitionCount; partition++) {
      const host = hostOf(partition as PartitionId);
      if (host >= HOSTS_MAX) return false;
      this.#bytes[hostOfPartition.value + partition] = host;
    }
    this.#hostOf = hostOf;
    this.#partitionCount = partitionCount;
    return true;
  }
}
