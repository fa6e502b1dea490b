/** The fast way to split a frame says the same as the general way or gives up, whatever it split before. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { limits } from "../../protocol/limits.ts";
import { PlainSplitter } from "../../protocol/plain-splitter.ts";
import { splitAnyFrame, type FrameShare, type SplitRequest } from "../../protocol/split-frame.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";
import { plainShares } from "../support/frame-shares.ts";
import { assertSameValues } from "../support/same-values.ts";
import {
  checkShares,
  events,
  hostCount,
  hostOf,
  key,
  packings,
  partitionCount,
  putBack,
  split,
  tenant,
  unpackr,
  value,
} from "../support/split-laws.ts";

describe("the fast way", () => {
  const isPlain = (bytes: Uint8Array): boolean =>
    plainShares({ format: FRAME_FORMATS.msgpack, bytes, tenant, partitionCount, hostOf }) !== undefined;
  const plainEvent = fc.record(
    {
      sessionId: fc.nat(30).map((session) => `session-${session}`),
      eventId: fc.string(),
      n: fc.integer(),
      properties: fc.dictionary(key, value, { maxKeys: 5, noNullPrototype: true }),
      at: fc.integer({ min: 0, max: 2 ** 41 }).map((ms) => new Date(ms)),
    },
    { requiredKeys: ["sessionId", "eventId", "properties"], noNullPrototype: true },
  );
  const plainEvents = fc.array(plainEvent, { minLength: 1, maxLength: 60 });

  for (const packing of ["maps", "shortest maps", "records"]) {
    it(`keeps the laws and takes nearly all: ${packing}`, () => {
      let plain = 0;
      let all = 0;
      fc.assert(
        fc.property(plainEvents, fc.nat(200), (list, seq) => {
          const bytes = Uint8Array.from(packings[packing]?.({ t: "pub", seq, events: list }) ?? []);
          assertSameValues(putBack(split(bytes)), (unpackr.unpack(bytes) as { events: unknown[] }).events);
          checkShares(bytes, FRAME_FORMATS.msgpack);
          all++;
          if (isPlain(bytes)) plain++;
        }),
        { numRuns: 200 },
      );
      // Left are frames with more shapes than ids.
      assert.ok(plain >= all / 2, `${plain} of ${all} were plain`);
    });
  }

  it("takes what the client sends", () => {
    const list = Array.from({ length: 100 }, (_, row) => ({
      eventId: `event-${row}`,
      sessionId: `session-${row % 37}`,
      timestamp: 1_432_000_000_000 + row,
      properties: row % 3 === 0 ? { value: row } : { value: 0.5, text: "some text" },
      context: { location: { country: "NL" } },
    }));
    const bytes = encodePublish(64, list);
    assert.ok(isPlain(bytes));
    assert.equal(split(bytes).length, hostCount);
    assert.deepEqual(putBack(split(bytes)), list);
  });

  it("leaves to the general way an integer that a shape's definition would turn into a record", () => {
    const first = [0x82, ...text("sessionId"), ...text("s1"), ...text("n"), 0x41];
    const second = [0xd4, 0x72, 0x41, 0x91, ...text("sessionId"), ...text("s2")];
    const third = [0x41, ...text("s3")];
    const bytes = Uint8Array.from([0x81, ...text("events"), 0x93, ...first, ...second, ...third]);
    assert.equal(isPlain(bytes), false);
    checkShares(bytes, FRAME_FORMATS.msgpack);
  });

  it("leaves to it a shape that is defined twice, a doubled session id, and one that is not ASCII", () => {
    const defined = (value: string) => [0xd4, 0x72, 0x41, 0x91, ...text("sessionId"), ...text(value)];
    const twice = [0x82, ...text("sessionId"), ...text("s1"), ...text("sessionId"), ...text("s2")];
    for (const list of [[defined("s1"), defined("s2")], [twice], [[0x81, ...text("sessionId"), ...text("é")]]]) {
      const bytes = Uint8Array.from([0x81, ...text("events"), 0x90 | list.length, ...list.flat()]);
      assert.equal(isPlain(bytes), false);
      checkShares(bytes, FRAME_FORMATS.msgpack);
    }
  });

  it("says what the general way says, or gives up, whatever it split before", () => {
    const tenants = fc.constantFrom("a", "demo", "four", "tenant-with-a-longer-name", "größe");
    const damages = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 1 });
    const cut = fc.option(fc.nat(), { nil: undefined, freq: 1 });
    const frame = fc.tuple(tenants, fc.oneof(plainEvents, events), fc.constantFrom(...Object.values(packings)), damages, cut);
    let plain = 0;
    fc.assert(
      fc.property(fc.array(frame, { minLength: 2, maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (frames, count) => {
        for (const [name, list, pack, damage, end] of frames) {
          const whole = Uint8Array.from(pack({ t: "pub", seq: 1, events: list }));
          for (const [at, to] of damage) whole[at % whole.length] = to;
          const bytes = end === undefined ? whole : whole.subarray(0, end % whole.length);
          const request = { format: FRAME_FORMATS.msgpack, bytes, tenant: name, partitionCount: count, hostOf };
          if (saysTheSame(request)) plain++;
        }
      }),
      { numRuns: 400 },
    );
    assert.ok(plain > 100, `${plain} frames were plain`);
  });

  it("does not read what an earlier frame left behind the end", () => {
    const list = Array.from({ length: 20 }, (_, row) => ({ sessionId: `s${row}`, text: "x".repeat(row * 20), tags: [{ row }] }));
    for (const pack of Object.values(packings)) {
      const bytes = Uint8Array.from(pack({ t: "pub", events: list }));
      for (let end = 0; end < bytes.length; end++) {
        // The whole frame first: what is cut off stands there still.
        isPlain(bytes);
        assert.equal(isPlain(bytes.subarray(0, end)), false, `${end} of ${bytes.length} bytes`);
      }
    }
  });

  it("does not go on behind the end for a list that claims to", () => {
    const head = [0x81, ...text("events"), 0x91, 0x82, ...text("sessionId"), ...text("s1"), ...text("x")];
    const unused = new PlainSplitter(splitProgram());
    assert.equal(unused.split({ bytes: new Uint8Array(0), tenant, partitionCount, hostOf }), undefined);
    for (const list of [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdc, 0xff, 0xff],
      [0xde, 0xff, 0xff],
      [0xda, 0xff, 0xff],
      [0xdd, 0],
    ]) {
      const bytes = Uint8Array.from([...head, ...list]);
      // In a new memory all that follows is zeros, each of them a value.
      const other = new PlainSplitter(splitProgram());
      assert.equal(other.split({ bytes, tenant, partitionCount, hostOf }), undefined);
      checkShares(bytes, FRAME_FORMATS.msgpack);
    }
  });

  it("leaves to the general way a key with a longer head than it needs", () => {
    const spelled = [0xd9, 9, ...Buffer.from("sessionId")];
    const bytes = Uint8Array.from([
      0x81,
      ...text("events"),
      0x91,
      0x82,
      ...text("sessionId"),
      ...text("s1"),
      ...spelled,
      ...text("s2"),
    ]);
    assert.equal(isPlain(bytes), false);
    checkShares(bytes, FRAME_FORMATS.msgpack);
  });

  it("leaves to it what is nested deeper than events are", () => {
    const nests: Record<string, (inner: unknown) => unknown> = {
      records: (a) => ({ a }),
      lists: (a) => [a],
      both: (a) => [{ a }],
    };
    for (const [name, nest] of Object.entries(nests)) {
      const step = name === "both" ? 2 : 1;
      for (const depth of [2, 8, 14, 20, 40, 58, 66, 80]) {
        let value: unknown = 1;
        for (let level = 0; level < depth; level += step) value = nest(value);
        const list = ["s1", "s2", "s3"].map((session) => ({ sessionId: session, value, last: 1 }));
        for (const packing of ["maps", "records"]) {
          const bytes = Uint8Array.from(packings[packing]?.({ t: "pub", events: list }) ?? []);
          assert.equal(isPlain(bytes), depth < 16, `${depth} ${name} in ${packing}`);
          checkShares(bytes, FRAME_FORMATS.msgpack);
        }
      }
    }
  });

  it("keeps its memory within bounds, and goes on after a frame that is too large for it", () => {
    const program = splitProgram();
    const other = new PlainSplitter(program);
    const rest = { tenant, partitionCount, hostOf };
    const frameOf = (textBytes: number): Uint8Array =>
      Uint8Array.from(
        encodePublish(
          1,
          ["s1", "s2"].map((id) => ({ sessionId: id, text: "x".repeat(textBytes) })),
        ),
      );
    assert.equal(other.split({ ...rest, bytes: frameOf(limits.frameBytesMax / 2) }), undefined);
    assert.equal(program.memory.buffer.byteLength, MEMORY_AT_START, "what is larger than a frame may be is not taken");
    const sizes = [60_000, 10, 60_000].map((textBytes) => frameOf(textBytes));
    for (const bytes of sizes) assert.ok(other.split({ ...rest, bytes }) !== undefined);
    // 255 shapes would go to each of 250 hosts: 16 MiB are not enough.
    const shapes = Array.from({ length: 60 }, (_, shape) =>
      Object.fromEntries(Array.from({ length: 200 }, (_key, index) => [`key-${shape}-${index}-${"x".repeat(15)}`, 0])),
    );
    const list = Array.from({ length: 250 }, (_, row) => ({ sessionId: `s${row}`, ...(row < 60 && { shape: shapes[row] }) }));
    const bytes = Uint8Array.from(encodePublish(1, list));
    assert.equal(other.split({ tenant, partitionCount: 250, hostOf: (partition) => partition, bytes }), undefined);
    assert.ok(program.memory.buffer.byteLength <= MEMORY_MAX);
    assert.ok(other.split({ ...rest, bytes: sizes[0] ?? assert.fail() }) !== undefined);
  });

  const MEMORY_AT_START = 4 * 65_536;
  const MEMORY_MAX = 256 * 65_536;

  /** Whether the frame was plain. */
  function saysTheSame(request: SplitRequest): boolean {
    const plain = plainShares(request);
    if (plain === undefined) return false;
    const general = splitAnyFrame(request);
    if (typeof plain === "number" || typeof general === "number") assert.equal(plain, general);
    else assert.deepEqual(rowsOf(plain), rowsOf(general));
    return true;
  }

  function rowsOf(shares: readonly FrameShare[]) {
    return shares.map(({ host, indexes }) => ({ host, indexes }));
  }

  function text(value: string): number[] {
    const bytes = Buffer.from(value);
    return [0xa0 | bytes.length, ...bytes];
  }
});
