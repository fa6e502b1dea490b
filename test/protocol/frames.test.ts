/**
 * Frames come back as they were written; a publish frame carries all its record definitions; what a client sends is checked,
 * and whatever its bytes are, the answer is a frame or a WeirError.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { WeirError, type ErrorCode } from "../../protocol/error-codes.ts";
import {
  decodeClientFrame,
  decodeServerFrame,
  encodeFrame,
  encodePublish,
  type ClientFrame,
  type ServerFrame,
} from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";

const maps = new Packr({ useRecords: false });
const pack = (value: unknown): Uint8Array => Uint8Array.from(maps.pack(value));
/** What a client without records reads. */
const plainly = (bytes: Uint8Array): unknown => new Unpackr({ useRecords: false, mapsAsObjects: true }).unpack(bytes);
const refused = (code: ErrorCode, path?: string) => (error: unknown) =>
  error instanceof WeirError && error.code === code && (path === undefined || error.path === path);

const clientFrames: ClientFrame[] = [
  { t: "hello" },
  { t: "hello", key: "weir_demo_x", client: "my-service/1.2" },
  { t: "sub", id: 0, channel: "events@1m" },
  { t: "sub", id: 7, channel: "events", since: { epoch: "abc", seq: 12 }, every: 250 },
  { t: "unsub", id: 7 },
  { t: "ping" },
  { t: "ping", id: 9 },
];

const window = { from: 1_700_000_000_000, to: 1_700_000_300_000 };
const serverFrames: ServerFrame[] = [
  {
    t: "hello",
    protocol: 1,
    server: "weir/0.1.0",
    tenant: "demo",
    scopes: ["write", "read"],
    credit: 64,
    serverTimeMs: 1_700_000_000_123,
    limits: { frameBytesMax: limits.frameBytesMax, frameEventsMax: limits.frameEventsMax },
  },
  { t: "ack", seq: 2 ** 40, totalEvents: 3, successfulEvents: 2, failedEvents: 1, receipt: "0:17", credit: 1 },
  {
    t: "ack",
    seq: 1,
    totalEvents: 2,
    successfulEvents: 1,
    failedEvents: 1,
    receipt: "0:17,1:4",
    credit: 0,
    results: [
      { index: 0, eventId: "e1", success: true, duplicate: true, code: "WEIR_EVENT_DUPLICATE" },
      { index: 1, eventId: "", success: false, code: "WEIR_EVENT_FIELD_TYPE", error: "é", path: "properties.x" },
    ],
  },
  { t: "error", code: "WEIR_FLOW_OVERLOADED", message: "m", retryable: true, seq: 4 },
  { t: "snap", id: 1, channel: "events", epoch: "e", seq: 5, window, cause: "snapshot", values: [{ country: null, count: 1.5 }] },
  { t: "resumed", id: 1, channel: "events", epoch: "e", seq: 5 },
  {
    t: "delta",
    channel: "events",
    every: 100,
    epoch: "e",
    seq: 6,
    window,
    cause: "late",
    values: [{ country: "NZ", removed: true }],
  },
  { t: "credit", credit: 64 },
  { t: "unsubbed", id: 1 },
  { t: "pong", serverTimeMs: 1 },
];

describe("a frame", () => {
  for (const frame of clientFrames) {
    it(`of a client comes back: ${JSON.stringify(frame)}`, () => {
      assert.deepEqual(decodeClientFrame(encodeFrame(frame)), frame);
      assert.deepEqual(decodeClientFrame(new Packr({ useRecords: true }).pack(frame)), frame);
    });
  }
  for (const frame of serverFrames) {
    it(`of the server comes back, to any msgpack client: ${frame.t}`, () => {
      assert.deepEqual(decodeServerFrame(encodeFrame(frame)), frame);
      assert.deepEqual(plainly(encodeFrame(frame)), frame);
    });
  }
  it("stays as it is when others are encoded after it", () => {
    const first = encodeFrame({ t: "ping", id: 1 });
    const before = Array.from(first);
    for (let id = 0; id < 1_000; id++) encodeFrame({ t: "sub", id, channel: "x".repeat(200) });
    assert.deepEqual(Array.from(first), before);
  });
});

describe("decodeClientFrame", () => {
  it("keeps no field that it does not know", () => {
    assert.deepEqual(decodeClientFrame(pack({ t: "ping", id: 1, more: true })), { t: "ping", id: 1 });
  });

  const wrong: [unknown, ErrorCode, string?][] = [
    [1, "WEIR_FRAME_TYPE_UNKNOWN"],
    [null, "WEIR_FRAME_TYPE_UNKNOWN"],
    [["ping"], "WEIR_FRAME_TYPE_UNKNOWN"],
    [{}, "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    [{ t: "pub", seq: 1, events: [] }, "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    [{ t: "constructor" }, "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    [{ t: 7 }, "WEIR_FRAME_TYPE_UNKNOWN", "t"],
    [{ t: "hello", key: 7 }, "WEIR_FRAME_FIELD_INVALID", "key"],
    [{ t: "hello", client: "x".repeat(257) }, "WEIR_FRAME_FIELD_INVALID", "client"],
    [{ t: "sub", channel: "events" }, "WEIR_FRAME_FIELD_INVALID", "id"],
    [{ t: "sub", id: -1, channel: "events" }, "WEIR_FRAME_FIELD_INVALID", "id"],
    [{ t: "sub", id: 1.5, channel: "events" }, "WEIR_FRAME_FIELD_INVALID", "id"],
    [{ t: "sub", id: 1 }, "WEIR_FRAME_FIELD_INVALID", "channel"],
    [{ t: "sub", id: 1, channel: "" }, "WEIR_FRAME_FIELD_INVALID", "channel"],
    [{ t: "sub", id: 1, channel: "events", since: {} }, "WEIR_FRAME_FIELD_INVALID", "since.epoch"],
    [{ t: "sub", id: 1, channel: "events", since: { epoch: "e", seq: "1" } }, "WEIR_FRAME_FIELD_INVALID", "since.seq"],
    [{ t: "sub", id: 1, channel: "events", every: -1 }, "WEIR_FRAME_FIELD_INVALID", "every"],
    [{ t: "sub", id: 1, channel: "events", every: Number.NaN }, "WEIR_FRAME_FIELD_INVALID", "every"],
    [{ t: "unsub" }, "WEIR_FRAME_FIELD_INVALID", "id"],
    [{ t: "ping", id: "1" }, "WEIR_FRAME_FIELD_INVALID", "id"],
  ];
  for (const [frame, code, path] of wrong) {
    it(`${JSON.stringify(frame).slice(0, 60)}: ${code} ${path ?? ""}`, () => {
      assert.throws(() => decodeClientFrame(pack(frame)), refused(code, path));
    });
  }

  it("refuses bytes that are no msgpack, cut, or followed by others", () => {
    const whole = encodeFrame({ t: "sub", id: 1, channel: "events" });
    for (let end = 0; end < whole.length; end++)
      assert.throws(() => decodeClientFrame(whole.subarray(0, end)), refused("WEIR_FRAME_MALFORMED"));
    assert.throws(() => decodeClientFrame(Uint8Array.of(...whole, 0xc0)), refused("WEIR_FRAME_MALFORMED"));
    assert.throws(() => decodeClientFrame(new Uint8Array(limits.queryBodyBytesMax).fill(0x91)), refused("WEIR_FRAME_MALFORMED"));
  });
  it("refuses what is larger than any such frame before reading it", () => {
    assert.throws(() => decodeClientFrame(new Uint8Array(limits.queryBodyBytesMax + 1)), refused("WEIR_FRAME_TOO_LARGE"));
  });
  it("remembers no definitions of the frame before", () => {
    decodeClientFrame(new Packr({ useRecords: true }).pack({ t: "ping", id: 1 }));
    assert.throws(
      () => decodeClientFrame(Uint8Array.of(0x40, 0xa4, 0x70, 0x69, 0x6e, 0x67, 0x01)),
      refused("WEIR_FRAME_MALFORMED"),
    );
  });
  it("throws nothing but WeirError, whatever the bytes", () => {
    const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...clientFrames),
        fc.boolean(),
        fc.array(change, { maxLength: 4 }),
        (frame, asRecord, changes) => {
          const bytes = asRecord ? Uint8Array.from(new Packr({ useRecords: true }).pack(frame)) : encodeFrame(frame);
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          try {
            assert.ok(["hello", "sub", "unsub", "ping"].includes(decodeClientFrame(bytes).t));
          } catch (error) {
            assert.ok(error instanceof WeirError, String(error));
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("encodePublish", () => {
  const alone = (bytes: Uint8Array): unknown => new Unpackr({ useRecords: true, mapsAsObjects: true }).unpack(bytes);
  /** msgpackr, which decodes here, renames a key `__proto__` at any depth: what our own readers make of it has tests of its own. */
  const withoutProto = (each: unknown): boolean => !JSON.stringify(each).includes('"__proto__"');
  const value = fc.jsonValue({ maxDepth: 3 }).map((each) => JSON.parse(JSON.stringify(each)) as unknown);
  const event = fc.dictionary(fc.string({ maxLength: 10 }), value, { maxKeys: 5, noNullPrototype: true }).filter(withoutProto);

  it("carries every definition, whatever was encoded before", () => {
    const kept: [Uint8Array, unknown][] = [];
    fc.assert(
      fc.property(fc.nat(), fc.array(event, { maxLength: 8 }), (seq, events) => {
        const bytes = encodePublish(seq, events);
        const frame = { t: "pub", seq, events };
        assert.deepEqual(alone(bytes), frame);
        kept.push([bytes, frame]);
      }),
      { numRuns: 500 },
    );
    for (const [bytes, frame] of kept.toReversed()) assert.deepEqual(alone(bytes), frame);
  });
  it("holds when a frame has more shapes than short ids", () => {
    for (const shapes of [31, 32, 33, 63, 64, 65, 200, 1_000]) {
      const events = Array.from({ length: shapes * 2 }, (_, index) => ({
        [`key${index % shapes}`]: index,
        nested: { [`inner${index % 7}`]: index },
      }));
      assert.deepEqual(alone(encodePublish(1, events)), { t: "pub", seq: 1, events });
    }
  });
  it("writes each shape once", () => {
    const events = Array.from({ length: 100 }, (_, index) => ({ someLongFieldName: index }));
    assert.equal(Buffer.from(encodePublish(1, events)).toString("latin1").split("someLongFieldName").length, 2);
  });
  it("writes t and seq before the events", () => {
    const text = Buffer.from(encodePublish(5, [{ a: 1 }])).toString("latin1");
    assert.ok(text.indexOf("pub") < text.indexOf("seq") && text.indexOf("seq") < text.indexOf("events"));
  });
});
