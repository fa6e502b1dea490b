/** The scanner passes only what msgpackr decodes; the head is read without walking over the events. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { WeirError } from "../../protocol/error-codes.ts";
import { scanHead, type FrameHead } from "../../protocol/msgpack-scan.ts";
import { MsgpackScanner } from "../../protocol/msgpack-scanner.ts";

const maps = new Packr({ useRecords: false });
const head = (value: unknown) => scanHead(maps.pack(value));
const refused = (code: string) => (error: unknown) => error instanceof WeirError && error.code === code;
const malformed = refused("WEIR_FRAME_MALFORMED");

function packRecords(value: unknown): Uint8Array {
  return new Packr({ useRecords: true }).pack(value);
}

function scanWhole(bytes: Uint8Array): MsgpackScanner {
  const scanner = new MsgpackScanner(bytes);
  scanner.marks = [];
  scanner.skip();
  if (!scanner.done) throw new WeirError("WEIR_FRAME_MALFORMED");
  return scanner;
}

function publish(seq: number, eventCount: number, head: FrameHead): void {
  assert.ok(head.t === "pub");
  assert.deepEqual([head.seq, head.eventCount], [seq, eventCount]);
}

describe("scanHead", () => {
  it("reads type, seq and the number of events", () => {
    publish(7, 3, head({ t: "pub", seq: 7, events: [1, {}, []] }));
    assert.deepEqual(head({ t: "ping" }), { t: "ping", seq: undefined, id: undefined });
    assert.deepEqual(head({ t: "sub", id: 3, channel: "x" }), { t: "sub", seq: undefined, id: 3 });
    assert.deepEqual(head({}), { t: undefined, seq: undefined, id: undefined });
    assert.deepEqual(head({ t: 1, seq: "x", events: {} }), { t: undefined, seq: undefined, id: undefined });
  });

  it("takes keys in any order and skips the others, events too", () => {
    const events = Array.from({ length: 40 }, (_, index) => ({
      sessionId: `s${index}`,
      deep: [{ a: [null, 1.5, "x".repeat(300)] }],
    }));
    publish(9, 40, head({ events, x: { t: "no" }, seq: 9, t: "pub" }));
    publish(9, 40, scanHead(packRecords({ events, seq: 9, t: "pub" })));
    publish(9, 40, scanHead(packRecords({ t: "pub", seq: 9, events })));
  });

  it("reads every form of a number", () => {
    const numbers = [
      0,
      1,
      63,
      64,
      127,
      128,
      255,
      256,
      65_535,
      65_536,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 53 - 1,
      -1,
      -32,
      -33,
      -129,
      -40_000,
      1.5,
    ];
    for (const seq of numbers) {
      publish(seq, 0, head({ t: "pub", seq, events: [] }));
      publish(seq, 0, scanHead(packRecords({ t: "pub", seq, events: [] })));
    }
    publish(5, 0, head({ t: "pub", seq: 5n, events: [] }));
  });

  it("refuses a publish that cannot be answered or holds no list", () => {
    for (const frame of [
      { t: "pub", events: [] },
      { t: "pub", seq: "1", events: [] },
      { t: "pub", seq: 2n ** 60n, events: [] },
    ]) {
      assert.throws(() => head(frame), refused("WEIR_FRAME_FIELD_INVALID"));
    }
    assert.throws(() => head({ t: "pub", seq: Number.NaN, events: [] }), refused("WEIR_FRAME_FIELD_INVALID"));
    for (const events of [undefined, null, {}, "x"]) {
      assert.throws(() => head({ t: "pub", seq: 1, events }), refused("WEIR_FRAME_FIELD_INVALID"));
    }
  });

  it("stops at the list's header when type and seq came first", () => {
    const bytes = maps.pack({ t: "pub", seq: 1, events: ["x".repeat(100)] }).subarray(0, 24);
    publish(1, 1, scanHead(bytes));
  });

  it("refuses what is not one whole map", () => {
    for (const value of [[], 5, "text", null]) assert.throws(() => head(value), refused("WEIR_FRAME_TYPE_UNKNOWN"));
    const whole = maps.pack({ x: { y: [1, 2, "three"] }, t: "ping" });
    for (let end = 0; end < whole.length; end++) assert.throws(() => scanHead(whole.subarray(0, end)), malformed);
    assert.throws(() => scanHead(Uint8Array.of(...whole, 0xc0)), malformed);
  });
});

describe("the scanner", () => {
  it("refuses nesting beyond 64 containers, and nothing up to there", () => {
    const nested = (depth: number) => Uint8Array.from([...new Array<number>(depth).fill(0x91), 0xc0]);
    scanWhole(nested(64));
    assert.throws(() => scanWhole(nested(65)), malformed);
    assert.throws(() => scanWhole(nested(1_000_000)), malformed);
    assert.throws(
      () => scanWhole(Uint8Array.from([...new Array<number[]>(65).fill([0x81, 0xa1, 0x61]).flat(), 0xc0])),
      malformed,
    );
  });

  it("refuses a header that promises more than there is, at once", () => {
    for (const header of [0xdd, 0xdf, 0xdb, 0xc6, 0xc9]) {
      assert.throws(() => scanWhole(Uint8Array.of(header, 0xff, 0xff, 0xff, 0xff, 1, 1, 1)), malformed);
    }
  });

  it("takes a byte for an integer until its id is defined", () => {
    // [0x40, {a: 1} as record 40, record 40 of 2]
    const bytes = Uint8Array.of(0x93, 0x40, 0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01, 0x40, 0x02);
    assert.deepEqual(new Unpackr({ useRecords: true }).unpack(bytes), [64, { a: 1 }, { a: 2 }]);
    assert.deepEqual(
      scanWhole(bytes).marks?.map((mark) => mark.from),
      [2, 9],
    );
  });

  it("knows two-byte ids", () => {
    const shapes = Array.from({ length: 300 }, (_, index) => ({ [`key${index}`]: index, both: { [`nested${index}`]: [index] } }));
    const values = [...shapes, ...shapes];
    const bytes = new Packr({ useRecords: true, maxOwnStructures: 8_000 }).pack(values);
    assert.deepEqual(new Unpackr({ useRecords: true }).unpack(bytes), values);
    assert.equal(scanWhole(bytes).marks?.length, 2 * values.length);
  });

  it("passes nothing that msgpackr cannot decode, other extensions aside", () => {
    const unpackr = new Unpackr({ useRecords: true, mapsAsObjects: true });
    // Bytes out of which definitions and references come up often.
    const byte = fc.oneof(
      fc.constantFrom(0xd4, 0x72, 0x40, 0x41, 0x91, 0x92, 0x81, 0xa1, 0x61, 0xd5, 0x60, 0xc0, 0xd9, 0xff),
      fc.nat(255),
    );
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(byte, { maxLength: 40 }).map((bytes) => Uint8Array.from(bytes)),
      fc.anything({ withBigInt: false }).map(packRecords),
    );
    fc.assert(
      fc.property(frame, (bytes) => {
        let decoded = true;
        try {
          unpackr.unpack(bytes);
        } catch {
          decoded = false;
        }
        const scanner = new MsgpackScanner(bytes);
        let scanned = true;
        try {
          scanner.skip();
          scanned = scanner.done;
        } catch (error) {
          assert.ok(malformed(error));
          scanned = false;
        }
        // With other extensions msgpackr may decode or not, and it knows some strange forms that are refused here.
        if (scanned && !scanner.needsCare) assert.ok(decoded);
      }),
      { numRuns: 3_000 },
    );
  });
});
