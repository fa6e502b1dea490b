/** Names that every object has, keys that come twice, and names of ours, wherever a name may stand. */
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, list, map, pack, publish } from "../msgpack-bytes.ts";
import { among, event, goodFields, jsonEvent, property, type Fields } from "./event-bytes.ts";

const names = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "valueOf",
  "__defineGetter__",
  "then",
  "toJSON",
];
const one = pack(1);

const everywhere = names.flatMap((name): CorpusCase[] => [
  {
    name: `${name} as type, ids and labels`,
    frame: among(event({ sessionId: name, userId: name, eventType: name, eventCategory: name, source: name })),
    answer: "ack 3 ok",
  },
  { name: `${name} as a key of properties`, frame: property(map([name, map([name, one])])), answer: "ack 3 ok" },
  {
    name: `${name} as a field and a key of the context`,
    frame: among(
      event({
        [`x.${name}`]: one,
        context: map(
          ["userAgent", pack("")],
          ["ipAddress", pack("")],
          ["deviceType", pack(name)],
          ["platform", pack(name)],
          [name, map([name, pack(name)])],
        ),
      }),
    ),
    answer: "ack 3 ok",
  },
  {
    name: `${name} in JSON`,
    body: `[${jsonEvent({ eventType: name, sessionId: name }, { [name]: "1", properties: `{"${name}":{"${name}":5}}` })}]`,
    answer: "200 ok",
  },
  { name: `${name} as the type of a frame`, frame: map(["t", pack(name)]), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  {
    name: `${name} as a channel`,
    frame: map(["t", pack("sub")], ["id", one], ["channel", pack(name)]),
    answer: "WEIR_METRIC_UNKNOWN at channel",
  },
  {
    name: `${name} as a window`,
    frame: map(["t", pack("sub")], ["id", one], ["channel", pack(`events@${name}`)]),
    answer: "WEIR_CHANNEL_INVALID at channel",
  },
]);

/** The prototype of maps is set by no frame: what it would bring is missing. */
const inherited = map(["__proto__", event()]);

const twice: readonly CorpusCase[] = [
  { name: "fields that are only inherited", frame: among(inherited), answer: "ack ok, WEIR_EVENT_FIELD_MISSING at eventId, ok" },
  {
    name: "fields that are only inherited, in JSON",
    body: `[{"__proto__":${jsonEvent()}}]`,
    answer: "200 WEIR_EVENT_FIELD_MISSING at eventId",
  },
  {
    name: "an id that comes twice: the last one counts",
    frame: publish(
      map(["eventId", pack("twice-first")], ...entriesOf({ eventId: "twice-last" })),
      event({ eventId: "twice-last" }),
    ),
    answer: "ack ok, WEIR_EVENT_DUPLICATE",
  },
  {
    name: "a session that comes twice, the last one no text",
    frame: among(map(...entriesOf({}), ["sessionId", one])),
    answer: "ack ok, WEIR_EVENT_FIELD_TYPE at sessionId, ok",
  },
  {
    name: "an id that comes twice, in JSON",
    body: `[${jsonEvent({ eventId: "json-first" }).slice(0, -1)},"eventId":"json-last"},${jsonEvent({ eventId: "json-last" })}]`,
    answer: "200 ok, WEIR_EVENT_DUPLICATE",
  },
  {
    name: "events that come twice behind the head: the last ones count",
    frame: map(["events", list([event()])], ["t", pack("pub")], ["seq", one], ["events", list([event(), event()])]),
    answer: "ack 2 ok",
  },
  {
    name: "a type that comes twice",
    frame: map(["t", pack("pub")], ["t", pack("ping")], ["seq", one], ["events", list([event()])]),
    answer: "pong",
  },
  {
    name: "a seq that comes twice",
    frame: map(["t", pack("pub")], ["seq", one], ["seq", pack(2)], ["events", list([event()])]),
    answer: "ack ok",
  },
  { name: "a key that comes twice in properties", frame: property(map(["a", one], ["a", pack(2)])), answer: "ack 3 ok" },
];

const odd: readonly CorpusCase[] = [
  { name: "the empty key", frame: property(map(["", one])), answer: "ack 3 ok" },
  { name: "a key with a dot, a quote and a NUL", frame: property(map(['a.b"\u0000', one])), answer: "ack 3 ok" },
  { name: "a number as a key", frame: property(map([bytes(7), one])), answer: "ack 3 ok" },
  { name: "nil as a key", frame: property(map([bytes(0xc0), one])), answer: "ack 3 ok" },
  { name: "a list as a key", frame: property(map([bytes(0x90), one])), answer: "WEIR_FRAME_MALFORMED", isKept: true },
  { name: "__other__ as a value of a dimension", frame: among(event({ eventType: "__other__" })), answer: "ack 3 ok" },
];

function entriesOf(change: Fields): [string, Uint8Array][] {
  return Object.entries({ ...goodFields(), ...change }).map(([name, value]) => [name, pack(value)]);
}

export const hostileNames: readonly CorpusCase[] = [...everywhere, ...twice, ...odd];
