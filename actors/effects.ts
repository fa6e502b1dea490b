/** What actors ask of the world: writes for their store. The host carries them out. */

/** One entry of a partition's or metric's store; `value` undefined removes the key. */
export interface StateWrite {
  readonly table: string;
  readonly key: readonly (string | number)[];
  readonly value: Uint8Array | undefined;
}

export interface StateEntry {
  readonly key: readonly (string | number)[];
  readonly value: Uint8Array;
}

/** How an actor reads back state that it has let go of (passivation). Reads what the last committed snapshot holds. */
export interface StateReader {
  get(table: string, key: readonly (string | number)[]): Uint8Array | undefined;
  range(table: string, from?: readonly (string | number)[], to?: readonly (string | number)[]): Iterable<StateEntry>;
}
