/** What msgpackr adds to msgpack, and other extensions: only timestamps and plain records are values of events. */
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, extension, list, map, pack, publish, repeat, shape } from "../msgpack-bytes.ts";
import { among, event, goodFields, property } from "./event-bytes.ts";

const refused = { answer: "ack ok, WEIR_EVENT_VALUE_INVALID at properties.x, ok" } as const;
const malformed = { answer: "WEIR_FRAME_MALFORMED", isKept: true } as const;
const fine = { answer: "ack 3 ok" } as const;

/** A good event as a record of shape `id`, with its definition or (`names` empty) without. */
function record(id: number, isDefined: boolean): Uint8Array {
  const fields = Object.entries(goodFields());
  const head = isDefined ? shape(id, ...fields.map(([name]) => name)) : bytes(id);
  return bytes(head, ...fields.map(([, value]) => pack(value)));
}

/** As many shapes as ids allow, in a property of a good event each. */
const manyShapes = publish(
  ...Array.from({ length: 8_000 }, (_, index) => {
    const id = bytes("d5 72", 0x40 | (index & 0x1f), (index >> 5) & 0xff);
    return event({ properties: bytes(id, list([pack(`k${index}`)]), 1) });
  }),
);

const redefined = publish(
  ...Array.from({ length: 1_000 }, (_, index) => event({ properties: bytes(shape(0x40, `a${index}`), 1) })),
);

export const extensions: readonly CorpusCase[] = [
  {
    name: "events as records of one shape",
    frame: publish(record(0x40, true), record(0x40, false), record(0x40, false)),
    ...fine,
  },
  {
    name: "a shape that is defined anew in between",
    frame: publish(
      record(0x40, true),
      event({ properties: bytes(shape(0x40, "other"), 1) }),
      event({ properties: bytes("40 02") }),
    ),
    ...fine,
  },
  {
    name: "a record of a shape that was redefined is another value",
    frame: publish(record(0x40, true), event({ properties: bytes(shape(0x40, "other"), 1) }), bytes("40 02")),
    answer: "ack 2 ok, WEIR_EVENT_FIELD_MISSING at eventId",
  },
  { name: "an id without a shape is a number", frame: property(bytes(0x41)), ...fine },
  { name: "shapes of another frame are not known", frame: publish(bytes(0x40)), answer: "ack WEIR_EVENT_NOT_A_MAP" },
  { name: "8,000 shapes", frame: manyShapes, answer: "ack 8000 ok" },
  { name: "one id with 1,000 shapes", frame: redefined, answer: "ack 1000 ok" },
  { name: "a shape without fields", frame: property(bytes("d4 72 40 90")), ...fine },
  { name: "a shape that names a field twice", frame: property(bytes(shape(0x40, "a", "a"), 1, 2)), ...fine },
  { name: "a shape with __proto__", frame: property(bytes(shape(0x40, "__proto__", "constructor"), 0x80, 2)), ...fine },
  { name: "a shape whose names are numbers", frame: property(bytes("d4 72 40 92 01 02 03 04")), ...malformed },
  { name: "a shape whose names are a map", frame: property(bytes("d4 72 40 80")), ...malformed },
  { name: "a shape within the names of a shape", frame: property(bytes("d4 72 40 91 d4 72 41 90 01")), ...malformed },
  { name: "a record that is cut off", frame: bytes(publish(bytes(shape(0x40, "a", "b"), 1))), ...malformed },
  { name: "a record as a key", frame: property(map([bytes("d4 72 40 90"), pack(1)])), ...malformed },
  { name: "a bundle of texts", frame: property(bytes("d6 62 00000000")), ...malformed },
  { name: "a typed array", frame: property(extension(0x74, bytes("06 00000000"))), ...refused },
  { name: "a typed array of a kind that is none", frame: property(extension(0x74, bytes("ff 00"))), ...refused },
  { name: "a regular expression", frame: property(bytes("d4 78 00 92", pack("(a+)+$"), pack("gimsuy"))), ...refused },
  { name: "a regular expression that is none", frame: property(bytes("d4 78 00 92", pack("("), pack("zz"))), ...refused },
  { name: "an error", frame: property(bytes("d4 65 00 93", pack("Error"), pack("text"), pack("stack"))), ...refused },
  { name: "an error of a class that is none", frame: property(bytes("d4 65 00 91", pack("process"))), ...refused },
  { name: "a set", frame: property(bytes("d4 73 00 93 01 02 03")), ...refused },
  { name: "a map of the extension kind", frame: property(extension(0x4d, bytes("80"))), ...refused },
  { name: "a big integer", frame: property(extension(0x42, bytes("01 0000000000000000"))), ...refused },
  { name: "a big integer without bytes", frame: property(extension(0x42, new Uint8Array(0))), ...refused },
  { name: "a reference to nothing", frame: property(bytes("d6 70 00000009")), ...refused },
  { name: "a list that holds itself", frame: property(bytes("d6 69 00000001 91 d6 70 00000001")), ...refused },
  { name: "an extension that nobody knows", frame: property(extension(0x2a, bytes("01"))), ...refused },
  { name: "an extension without bytes", frame: property(extension(0x2a, new Uint8Array(0))), ...refused },
  { name: "a value that is undefined is an absent one", frame: property(bytes("d4 00 00")), ...fine },
  {
    name: "an undefined id",
    frame: among(event({ eventId: bytes("d4 00 00") })),
    answer: "ack ok, WEIR_EVENT_FIELD_MISSING at eventId, ok",
  },
  { name: "bytes", frame: property(bytes("c4 02 0102")), ...refused },
  { name: "a date as a property", frame: property(bytes("d6 ff 00000001")), ...refused },
  { name: "a date of a length that is none", frame: property(extension(0xff, bytes("01"))), ...refused },
  { name: "a token that msgpack does not have", frame: property(bytes("c1")), ...malformed },
  { name: "an extension as an event", frame: among(extension(0x2a, bytes("01"))), answer: "ack ok, WEIR_EVENT_NOT_A_MAP, ok" },
  {
    name: "an extension as the events",
    frame: map(["t", pack("pub")], ["seq", pack(1)], ["events", extension(1, bytes("01"))]),
    answer: "WEIR_FRAME_FIELD_INVALID at events",
  },
  { name: "an extension as the frame", frame: extension(1, bytes("01")), answer: "WEIR_FRAME_TYPE_UNKNOWN" },
  {
    name: "an extension in a ping",
    frame: map(["t", pack("ping")], ["x", bytes("d4 78 00 92", pack("("), pack(""))]),
    answer: "WEIR_FRAME_MALFORMED",
  },
  { name: "bytes behind the frame", frame: bytes(publish(event()), repeat(4, 0xc0)), ...malformed },
];
