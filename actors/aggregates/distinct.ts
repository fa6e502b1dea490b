/** How many different texts (users, sessions, addresses) there were: exact up to 256 of them, an estimate beyond. */
import type { Aggregate } from "./aggregate.ts";
import { hash64 } from "./hash64.ts";
import { HyperLogLog, STANDARD_ERROR } from "./hyperloglog.ts";
import { keyTextOf } from "./key-text.ts";

const hash = new Uint32Array(2);

export const distinct: Aggregate<HyperLogLog> = {
  name: "distinct",
  outputs: ["distinct"],
  bound: { kind: "standardError", value: STANDARD_ERROR },
  empty: () => new HyperLogLog(),
  add(state, value) {
    const text = keyTextOf(value);
    if (text === undefined) return;
    hash64(text, hash);
    state.addHash(hash[0] ?? 0, hash[1] ?? 0);
  },
  merge: (into, from) => into.merge(from),
  finish: (state) => [state.estimate()],
  write: (state, writer) => state.write(writer),
  read: (reader) => HyperLogLog.read(reader),
  sizeBytes: (state) => state.sizeBytes(),
};
