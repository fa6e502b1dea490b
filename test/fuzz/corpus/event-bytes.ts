/** Events for the corpus: good ones, each with an id of its own, whose fields a case replaces by values or by msgpack bytes. */
import { map, pack, publish } from "../msgpack-bytes.ts";

export type Fields = Readonly<Record<string, unknown>>;

let lastId = 0;

export function goodFields(): Fields {
  return {
    eventId: `c-${++lastId}`,
    sessionId: "visit",
    eventType: "click",
    eventCategory: "ui",
    timestamp: Date.now(),
    properties: { price: 1.5 },
    context: { userAgent: "", ipAddress: "", deviceType: "desktop", platform: "web" },
    source: "shop",
    version: "1",
    environment: "test",
  };
}

/** As msgpack. Bytes stand for themselves; undefined takes a field away. */
export function event(change: Fields = {}): Uint8Array {
  const entries = Object.entries({ ...goodFields(), ...change }).filter(([, value]) => value !== undefined);
  return map(...entries.map(([name, value]) => [name, value instanceof Uint8Array ? value : pack(value)] as const));
}

/** As JSON text. `raw` maps a field to JSON text that stands as it is. */
export function jsonEvent(change: Fields = {}, raw: Readonly<Record<string, string>> = {}): string {
  const fields = Object.entries({ ...goodFields(), ...change }).filter(([name]) => !Object.hasOwn(raw, name));
  const written = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...written, ...Object.entries(raw).map(([name, text]) => `${JSON.stringify(name)}:${text}`)].join(",")}}`;
}

/** A frame of a good event, this one, and a good event: neighbours are not to be spoiled. */
export function among(odd: Uint8Array): Uint8Array {
  return publish(event(), odd, event());
}

/** The same with an odd value as a property `x`. */
export function property(value: unknown): Uint8Array {
  return among(event({ properties: map(["x", value instanceof Uint8Array ? value : pack(value)]) }));
}
