/** Containers, formats, and what hostile bytes come to: a coded verdict or a coded error, never a throw of another kind. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Packr } from "msgpackr";
import type { ErrorCode } from "../../protocol/error-codes.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { codeOf } from "../../protocol/verdicts.ts";
import { INGEST_MS, type Event } from "./event-arbitraries.ts";

const maps = new Packr({ useRecords: false, variableMapSize: true });
const rich = new Packr({ useRecords: false, moreTypes: true } as ConstructorParameters<typeof Packr>[0]);

function event(changes: Event = {}): Event {
  return {
    eventId: "e1",
    sessionId: "s1",
    eventType: "page_view",
    eventCategory: "web",
    timestamp: INGEST_MS - 1000,
    properties: { amount: 7 },
    context: { userAgent: "", ipAddress: "", deviceType: "", platform: "", location: { country: "NZ" } },
    source: "test",
    version: "1",
    environment: "test",
    ...changes,
  };
}

function read(bytes: Uint8Array, format: FrameFormat = FRAME_FORMATS.msgpack): EventColumns {
  return readEvents({ format, bytes, tenant: "demo", ingestTimeMs: INGEST_MS, partitionCount: 16 });
}

const pack = (value: unknown): Uint8Array => Uint8Array.from(maps.pack(value));
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const codes = (columns: EventColumns) => Array.from(columns.verdicts, (verdict) => codeOf(verdict) ?? "accepted");
const refused = (code: ErrorCode) => (error: unknown) => error instanceof WeirError && error.code === code;

describe("containers", () => {
  const good = event();
  for (const [name, encode, format] of [
    ["msgpack", pack, FRAME_FORMATS.msgpack],
    ["JSON", json, FRAME_FORMATS.json],
  ] as const) {
    it(`${name}: a publish frame, a map with events, a list, one event`, () => {
      for (const body of [{ t: "pub", seq: 1, events: [good] }, { events: [good] }, [good], good]) {
        assert.deepEqual(codes(read(encode(body), format)), ["accepted"]);
      }
      assert.equal(read(encode([]), format).count, 0);
    });
    it(`${name}: what is none of these is refused`, () => {
      for (const body of [{ events: 1 }, { events: null }, { t: "pub", seq: 1 }, 7, "text", null]) {
        assert.throws(() => read(encode(body), format), refused("WEIR_FRAME_FIELD_INVALID"));
      }
    });
    it(`${name}: too many events are refused`, () => {
      assert.equal(read(encode(Array.from({ length: 10_000 }, () => 1)), format).count, 10_000);
      assert.throws(() => read(encode(Array.from({ length: 10_001 }, () => 1)), format), refused("WEIR_FRAME_TOO_MANY_EVENTS"));
    });
  }

  it("inline records", () => {
    const columns = read(encodePublish(1, [event(), event({ eventId: "e2", extra: 1 })]));
    assert.deepEqual(codes(columns), ["accepted", "accepted"]);
    assert.deepEqual(columns.eventIds.texts(), ["e1", "e2"]);
  });

  it("NDJSON: blank lines are skipped, CRLF is fine, a broken line leaves its neighbours alone", () => {
    const text = `${JSON.stringify(event())}\r\n\n  \r\n{"eventId": \n${JSON.stringify(event({ eventId: "e2" }))}`;
    const columns = read(Buffer.from(text), FRAME_FORMATS.ndjson);
    assert.deepEqual(codes(columns), ["accepted", "WEIR_FRAME_MALFORMED", "accepted"]);
    assert.equal(Buffer.from(columns.raw(1)).toString(), '{"eventId": ');
    const broken = Buffer.concat([Buffer.from([0x22, 0xff, 0x22, 10]), json(event())]);
    assert.deepEqual(codes(read(broken, FRAME_FORMATS.ndjson)), ["WEIR_FRAME_MALFORMED", "accepted"]);
  });

  it("JSON that is not UTF-8, or no JSON, is malformed", () => {
    for (const bytes of [Buffer.from([0x22, 0xff, 0x22]), Buffer.from("{"), Buffer.from(""), Buffer.from("\uFEFF[]")]) {
      assert.throws(() => read(bytes, FRAME_FORMATS.json), refused("WEIR_FRAME_MALFORMED"));
    }
  });
});

describe("columns", () => {
  const columns = read(
    pack([event({ userId: "u" }), event({ eventId: "", sessionId: "s2" }), "text", event({ timestamp: new Date(INGEST_MS) })]),
  );

  it("hold what actors need", () => {
    assert.deepEqual(codes(columns), ["accepted", "WEIR_EVENT_FIELD_LENGTH", "WEIR_EVENT_NOT_A_MAP", "accepted"]);
    assert.deepEqual([...columns.wrongPaths], [[1, "eventId"]]);
    assert.deepEqual(columns.eventIds.texts(), ["e1", "", "", "e1"]);
    assert.deepEqual(columns.sessionIds, ["s1", "s2", "", "s1"]);
    assert.deepEqual(columns.userIds, ["u", undefined, undefined, undefined]);
    assert.deepEqual([...columns.eventTimesMs], [INGEST_MS - 1000, 0, 0, INGEST_MS]);
    assert.equal((columns.events[3] as Event)["timestamp"], INGEST_MS);
    const expected = ["s1", "s2", "", "s1"].map((session) => partitionOf("demo", session, 16));
    assert.deepEqual([...columns.partitions], expected);
  });
  it("give fields of accepted rows, made once", () => {
    assert.deepEqual(columns.field("context.location.country"), ["NZ", undefined, undefined, "NZ"]);
    assert.deepEqual(columns.field("properties.amount"), [7, undefined, undefined, 7]);
    assert.equal(columns.field("eventType"), columns.field("eventType"));
  });
});

describe("an event's own bytes", () => {
  const events = [event(), event({ eventId: "e2", timestamp: null }), event({ eventId: "e3", properties: { amount: 7 } })];
  it("stand alone in msgpack, with maps and with records", () => {
    for (const bytes of [pack({ t: "pub", seq: 1, events }), encodePublish(1, events)]) {
      const columns = read(bytes);
      events.forEach((expected, row) => {
        const alone = read(columns.raw(row));
        assert.equal(alone.count, 1);
        assert.deepEqual(alone.events[0], expected);
        assert.deepEqual(alone.verdicts[0], columns.verdicts[row]);
      });
    }
  });
  it("are the text as it came in JSON", () => {
    const text = '{"a" : 12345678901234567890, "b":"\\"}]"}';
    for (const body of [`{"t":"pub","events": [ ${text} , 1 ] }`, `[${text},1]`, `{"events":1, "ev\\u0065nts":[${text},1]}`]) {
      const columns = read(Buffer.from(body), FRAME_FORMATS.json);
      assert.equal(Buffer.from(columns.raw(0)).toString(), text);
      assert.equal(Buffer.from(columns.raw(1)).toString(), "1");
    }
    assert.equal(Buffer.from(read(Buffer.from(` ${text}\n`), FRAME_FORMATS.json).raw(0)).toString(), text);
  });
});

describe("values that msgpack can carry and events cannot", () => {
  const foreign: [string, unknown, string][] = [
    ["an error", new Error("x"), "WEIR_EVENT_VALUE_INVALID"],
    ["a regular expression", /a+/g, "WEIR_EVENT_VALUE_INVALID"],
    ["a set", new Set([1]), "WEIR_EVENT_VALUE_INVALID"],
    ["typed numbers", new Float64Array([1]), "WEIR_EVENT_VALUE_INVALID"],
    ["bytes", Buffer.from("abc"), "WEIR_EVENT_VALUE_INVALID"],
    ["a time", new Date(INGEST_MS), "WEIR_EVENT_VALUE_INVALID"],
    ["an integer of 64 bits", 2n ** 60n, "WEIR_EVENT_NUMBER_INVALID"],
    ["a negative one", -(2n ** 60n), "WEIR_EVENT_NUMBER_INVALID"],
  ];
  for (const [name, value, code] of foreign) {
    it(`${name} in properties is ${code} for that event alone`, () => {
      const bytes = rich.pack([event(), event({ properties: { list: [value] } }), event()]);
      const columns = read(bytes);
      assert.deepEqual(codes(columns), ["accepted", code, "accepted"]);
      assert.equal(columns.wrongPaths.get(1), "properties.list.0");
      assert.equal(read(columns.raw(1)).verdicts[0], columns.verdicts[1]);
    });
  }

  it("a small integer of 64 bits is a number, also as a timestamp", () => {
    const columns = read(pack([event({ timestamp: BigInt(INGEST_MS), properties: { n: 5n } })]));
    assert.deepEqual(codes(columns), ["accepted"]);
    assert.deepEqual(columns.field("properties.n"), [5]);
  });

  const extensions: [string, string][] = [
    ["an unknown extension", "c70105ff"],
    ["a pointer to nothing", "d67000000001"],
    ["a cycle", "d66900000001dc0001d67000000001"],
    ["a broken regular expression", "d4780092a128a0"],
    ["a set of a number", "d4730001"],
    ["an error of a number", "d4650001"],
    ["a typed array of no type", "c7027463ff"],
    ["an empty big integer", "c70042"],
  ];
  for (const [name, hex] of extensions) {
    it(`${name} is WEIR_EVENT_VALUE_INVALID`, () => {
      const marker = pack("@@@@");
      const frame = Buffer.from(pack([event(), event({ properties: { x: "@@@@" } }), event()]));
      const at = frame.indexOf(marker);
      const bytes = Buffer.concat([frame.subarray(0, at), Buffer.from(hex, "hex"), frame.subarray(at + marker.length)]);
      const columns = read(bytes);
      assert.deepEqual(codes(columns), ["accepted", "WEIR_EVENT_VALUE_INVALID", "accepted"]);
      assert.equal(columns.raw(1).includes(0xc7) || columns.raw(1).length > 0, true);
    });
  }
});

describe("hostile frames", () => {
  const hostile: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["a cut frame", pack([event()]).subarray(0, -1)],
    ["bytes behind the value", Buffer.concat([pack([event()]), Buffer.from([1])])],
    ["a list that claims 4 billion events", Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ["a byte that msgpack never uses", Uint8Array.of(0x91, 0xc1)],
    ["bundled strings", Buffer.from("91d66200000001c101", "hex")],
    ["a million levels of lists", new Uint8Array(1_000_000).fill(0x91)],
    ["a million levels of maps", Buffer.from("81a161".repeat(300_000), "hex")],
    ["a map with a list for a key", Uint8Array.of(0x81, 0x90, 1)],
    ["a definition without keys", Uint8Array.of(0xd4, 0x72, 0x40, 1)],
    ["a definition with a number for a key", Uint8Array.of(0xd4, 0x72, 0x40, 0x91, 1, 1)],
    ["a reference with a high byte to nothing", Buffer.from("92d57260009001".concat("6005"), "hex")],
  ];
  for (const [name, bytes] of hostile) {
    it(`${name}: malformed`, () => assert.throws(() => read(bytes), refused("WEIR_FRAME_MALFORMED")));
  }

  it("a definition of one frame is unknown to the next", () => {
    const defining = Buffer.from("91d4724091a16101", "hex");
    assert.deepEqual(read(defining).events, [{ a: 1 }]);
    assert.deepEqual(read(Uint8Array.of(0x91, 0x40)).events, [0x40]);
    assert.throws(() => read(defining.subarray(0, -1)), refused("WEIR_FRAME_MALFORMED"));
    assert.deepEqual(read(Uint8Array.of(0x91, 0x40)).events, [0x40]);
  });

  it("a key __proto__ gives nothing a prototype", () => {
    const bytes = Buffer.from(
      `{"events":[${JSON.stringify(event()).replace('"properties":{', '"__proto__":{"polluted":1},"properties":{"__proto__":{"polluted":1},')}]}`,
    );
    const fromJson = read(bytes, FRAME_FORMATS.json);
    const packed = Buffer.from(pack([event({ properties: { __prot__: { polluted: 1 } } })]));
    packed.write("__proto_", packed.indexOf("__prot__"));
    for (const columns of [fromJson, read(packed)]) {
      assert.deepEqual(columns.field("properties.polluted"), [undefined]);
      assert.deepEqual(columns.field("polluted"), [undefined]);
      assert.equal(({} as Event)["polluted"], undefined);
    }
  });

  it("deep JSON is refused without a stack overflow, and its bytes are kept", () => {
    const deep = `{"properties":${"[".repeat(500_000)}${"]".repeat(500_000)}}`;
    const columns = read(Buffer.from(`[${deep},${JSON.stringify(event({ properties: { a: 1 } }))}]`), FRAME_FORMATS.json);
    assert.notEqual(columns.verdicts[0], 0);
    assert.equal(columns.verdicts[1], 0);
    assert.equal(columns.raw(0).length, deep.length);
    const inProperties = JSON.stringify(event({ properties: { a: "@" } })).replace(
      '"@"',
      "[".repeat(100_000) + "]".repeat(100_000),
    );
    assert.deepEqual(codes(read(Buffer.from(inProperties), FRAME_FORMATS.json)), ["WEIR_EVENT_PROPERTIES_TOO_LARGE"]);
  });

  it("broken UTF-8 in an id is refused, in a property it is kept as U+FFFD", () => {
    const frame = Buffer.from(pack([event({ sessionId: "s@" })]));
    frame[frame.indexOf("s@") + 1] = 0xff;
    assert.deepEqual(codes(read(frame)), ["WEIR_EVENT_FIELD_ENCODING"]);
    assert.deepEqual(read(frame).sessionIds, [""]);
  });
});
