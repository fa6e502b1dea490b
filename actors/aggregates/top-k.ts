/**
 * The 20 most frequent texts, with their counts: exact up to `limits.topKCounters` different ones, bounded by `error` beyond.
 * Keys are at most 256 bytes of UTF-8: what is longer is cut at a character. Sorted by count, highest first, then by key.
 */
import { limits } from "../../protocol/limits.ts";
import type { Aggregate, TopKEntry } from "./aggregate.ts";
import { byCountThenKey, type Counter } from "./counter-heap.ts";
import { keyTextOf } from "./key-text.ts";
import { SpaceSaving } from "./space-saving.ts";

const ENTRIES_MAX = 20;

const encoder = new TextEncoder();
// A byte order mark at the start of a key is part of it.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const keyBytes = new Uint8Array(limits.dimensionValueBytesMax);

export const topK: Aggregate<SpaceSaving> = {
  name: "topK",
  outputs: ["topK"],
  bound: { kind: "capacity", value: limits.topKCounters },
  reads: "value",
  empty: () => new SpaceSaving(limits.topKCounters),
  add(state, value) {
    const text = keyTextOf(value);
    if (text === undefined || state.countKnown(text)) return;
    const key = ownKey(text);
    if (key === text || !state.countKnown(key)) state.countNew(key);
  },
  merge: (into, from) => into.merge(from),
  finish: (state) => [highest(state.counters())],
  write(state, writer) {
    writer.varint(state.floor);
    writer.varint(state.size);
    for (const { key, count, error } of state.countersByKey()) {
      writer.block(bytesOfKey(key));
      writer.varint(count);
      writer.varint(error);
    }
  },
  read(reader) {
    const state = new SpaceSaving(limits.topKCounters);
    state.restoreFloor(reader.varint());
    for (let left = reader.varint(); left > 0; left--) {
      const key = decoder.decode(reader.block());
      const count = reader.varint();
      state.put(key, count, reader.varint());
    }
    return state;
  },
  sizeBytes: (state) => state.sizeBytes(),
};

/**
 * A copy of at most 256 bytes, lone surrogates as U+FFFD, which is what writing and reading gives back. A copy, because the
 * text may be a slice that keeps the whole frame which it came in alive.
 */
function ownKey(text: string): string {
  return decoder.decode(bytesOfKey(text));
}

/** Valid until the next call. */
function bytesOfKey(text: string): Uint8Array {
  return keyBytes.subarray(0, encoder.encodeInto(text, keyBytes).written);
}

function highest(counters: Iterable<Counter>): readonly TopKEntry[] {
  const top: Counter[] = [];
  for (const counter of counters) {
    const last = top[ENTRIES_MAX - 1];
    if (last !== undefined && byCountThenKey(counter, last) > 0) continue;
    let at = Math.min(top.length, ENTRIES_MAX - 1);
    for (let before = top[at - 1]; before !== undefined && byCountThenKey(counter, before) < 0; before = top[at - 1]) {
      top[at--] = before;
    }
    top[at] = counter;
  }
  return top.map(({ key, count, error }) => ({ key, count, error }));
}
