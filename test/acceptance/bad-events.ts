/** Events for `bad-input.test.ts`: good ones, what is changed to make bad ones of them, and how JSON and answers show those. */
import assert from "node:assert/strict";
import { Packr } from "msgpackr";
import { goodFields } from "../fuzz/corpus/event-bytes.ts";

export type Event = Record<string, unknown>;

let lastId = 0;
/** A good event; all of one session, so that all share a partition and its watermark. */
export function event(change: Event = {}): Event {
  return { ...goodFields(), eventId: `e-${++lastId}`, ...change };
}

export function without(field: string): Event {
  const { [field]: _gone, ...rest } = event();
  return rest;
}

export const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Replaces a text of the same length by bytes that no encoder would write. */
export function spliced(bytes: Uint8Array, mark: string, by: readonly number[]): Uint8Array {
  const at = Buffer.from(bytes).indexOf(mark);
  assert.ok(at >= 0 && by.length === mark.length);
  const changed = Uint8Array.from(bytes);
  changed.set(by, at);
  return changed;
}

/** Ids that cannot be used as one are answered as the empty text. */
export function usableIdOf(bad: unknown): string {
  const id: unknown = typeof bad === "object" && bad !== null ? Reflect.get(bad, "eventId") : undefined;
  return typeof id === "string" && /^e-\d+$/.test(id) ? id : "";
}

/** Whether JSON carries the value as it is. */
export function isJson(value: unknown): boolean {
  const text = JSON.stringify(value, (_key, each: unknown) => (typeof each === "bigint" ? "" : each));
  return typeof value !== "object" || packr.pack(JSON.parse(text)).equals(packr.pack(value));
}

export function nested(levels: number): unknown {
  return levels === 0 ? 1 : { in: nested(levels - 1) };
}
