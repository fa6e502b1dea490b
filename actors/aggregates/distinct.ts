/** How many different texts (users, sessions, addresses) there were: exact up to 256 of them, an estimate beyond. */
import type { Aggregate } from "./aggregate.ts";
import { HyperLogLog, STANDARD_ERROR } from "./hyperloglog.ts";
import { hashValue } from "./key-text.ts";

const hash = new Uint32Array(2);

function addHash(state: HyperLogLog, first: number, second: number): void {
  if (first !== 0 || second !== 0) state.addHash(first, second);
}

export const distinct: Aggregate<HyperLogLog> = {
  name: "distinct",
  outputs: ["distinct"],
  bound: { kind: "standardError", value: STANDARD_ERROR },
  reads: "hash",
  empty: () => new HyperLogLog(),
  add(state, value) {
    hashValue(value, hash, 0);
    addHash(state, hash[0] ?? 0, hash[1] ?? 0);
  },
  addHash,
  merge: (into, from) => into.merge(from),
  finish: (state) => [state.estimate()],
  write: (state, writer) => state.write(writer),
  read: (reader) => HyperLogLog.read(reader),
  sizeBytes: (state) => state.sizeBytes(),
};
