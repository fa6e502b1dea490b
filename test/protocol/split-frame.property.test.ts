/**
 * Laws: put back by their indexes, the events of all shares are the events of the frame; each lies in the share of the host of
 * the partition that the reader gives it, in the share as in the frame; any bytes make shares or a WeirError, and shares are
 * decodable exactly when the frame is. The fast way says the same as the general way or gives up, whatever it split before.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { encodePublish } from "../../protocol/frames.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { PlainSplitter } from "../../protocol/plain-splitter.ts";
import { splitAnyFrame, type FrameShare, type SplitRequest } from "../../protocol/split-frame.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";
import { plainShares, sharesOf, type HostPart } from "../support/frame-shares.ts";
import { assertSameValues } from "../support/same-values.ts";

const tenant = "demo" as TenantId;
const partitionCount = 16;
const hostCount = 5;
const hostOf = (partition: number) => partition % hostCount;
const unpackr = new Unpackr({ useRecords: true, mapsAsObjects: true });

function split(bytes: Uint8Array, format: FrameFormat = FRAME_FORMATS.msgpack): HostPart[] {
  return sharesOf({ format, bytes, tenant, partitionCount, hostOf });
}

function read(bytes: Uint8Array, format: FrameFormat): EventColumns | undefined {
  try {
    return readEvents({ format, bytes, tenant, ingestTimeMs: 0, partitionCount });
  } catch (error) {
    assert.ok(error instanceof WeirError);
    return undefined;
  }
}

/** The laws as the reader sees them, for any bytes. Returns the number of shares. */
function checkShares(bytes: Uint8Array, format: FrameFormat): number {
  const whole = read(bytes, format);
  const shares = split(bytes, format);
  if (whole === undefined || whole.count === 0) {
    assert.deepEqual(shares, [{ host: hostOf(partitionOf(tenant, "", partitionCount)), bytes, format, indexes: undefined }]);
    return 1;
  }
  const rows: number[] = [];
  const hosts = new Set<number>();
  for (const share of shares) {
    assert.ok(!hosts.has(share.host), "one share a host");
    hosts.add(share.host);
    const indexes: readonly number[] = share.indexes ?? Array.from({ length: whole.count }, (_, row) => row);
    if (share.indexes === undefined) assert.equal(share.bytes, bytes);
    assert.deepEqual(
      indexes,
      indexes.toSorted((a, b) => a - b),
    );
    const columns = read(share.bytes, share.format);
    assert.ok(columns !== undefined, "a share of a decodable frame is decodable");
    assert.equal(columns.count, indexes.length);
    for (const [row, batchRow] of indexes.entries()) {
      rows.push(batchRow);
      assertSameValues(columns.events[row], whole.events[batchRow]);
      assert.equal(columns.verdicts[row], whole.verdicts[batchRow]);
      assert.equal(columns.partitions[row], whole.partitions[batchRow]);
      assert.equal(hostOf(columns.partitions[row] ?? -1), share.host);
    }
  }
  assert.deepEqual(
    rows.toSorted((a, b) => a - b),
    Array.from({ length: whole.count }, (_, row) => row),
  );
  return shares.length;
}

/** The events of the shares in the order of the frame, by msgpackr alone. */
function putBack(shares: readonly HostPart[]): unknown[] {
  const events: unknown[] = [];
  for (const { bytes, indexes } of shares) {
    const decoded = unpackr.unpack(bytes) as unknown[] | { events: unknown[] };
    const list = Array.isArray(decoded) ? decoded : decoded.events;
    assert.equal(list.length, indexes?.length ?? list.length);
    for (const [row, event] of list.entries()) events[indexes === undefined ? row : (indexes[row] ?? -1)] = event;
  }
  return events;
}

const scalar = fc.oneof(
  fc.integer(),
  fc.integer({ min: 60, max: 130 }),
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.double({ noNaN: true }),
);
const key = fc.oneof(
  fc.constantFrom("a", "b", "c", "sessionId", "é"),
  fc.nat(120).map((index) => `key${index}`),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const sessionId = fc.oneof(
  { arbitrary: fc.nat(30).map((session) => `session-${session}`), weight: 6 },
  fc.string({ unit: "grapheme" }),
  fc.constant("x".repeat(3_000)),
  scalar,
);
const event = fc.oneof(
  {
    arbitrary: fc
      .tuple(fc.record({ sessionId }), fc.dictionary(key, value, { noNullPrototype: true }))
      .map(([a, b]) => ({ ...b, ...a })),
    weight: 6,
  },
  { arbitrary: fc.record({ eventId: fc.string(), sessionId, properties: fc.record({ value, n: fc.nat(200) }) }), weight: 6 },
  value,
);
const events = fc.array(event, { minLength: 1, maxLength: 120 });

const packings: Record<string, (frame: unknown) => Uint8Array> = {
  maps: (frame) => new Packr({ useRecords: false }).pack(frame),
  "shortest maps": (frame) => new Packr({ useRecords: false, variableMapSize: true }).pack(frame),
  records: (frame) => new Packr({ useRecords: true }).pack(frame),
  "few records, so redefined often": (frame) => new Packr({ useRecords: true, maxOwnStructures: 3 }).pack(frame),
  "two-byte records": (frame) => new Packr({ useRecords: true, maxOwnStructures: 500 }).pack(frame),
};
const containers: Record<string, (list: unknown[]) => unknown> = {
  pub: (list) => ({ t: "pub", seq: 64, events: list }),
  "events first": (list) => ({ events: list, more: { sessionId: "no" }, t: "pub", seq: 1 }),
  list: (list) => list,
};

describe("splitting msgpack", () => {
  for (const [packing, pack] of Object.entries(packings)) {
    for (const [container, wrap] of Object.entries(containers)) {
      it(`loses and changes nothing: ${packing}, ${container}`, () => {
        fc.assert(
          fc.property(events, (list) => {
            const bytes = Uint8Array.from(pack(wrap(list)));
            const frame = unpackr.unpack(bytes) as unknown[] | { events: unknown[] };
            assert.deepEqual(putBack(split(bytes)), Array.isArray(frame) ? frame : frame.events);
            checkShares(bytes, FRAME_FORMATS.msgpack);
          }),
          { numRuns: 60 },
        );
      });
    }
  }

  it("keeps 200 shapes in one frame apart, nested ones too", () => {
    const list = Array.from({ length: 1_000 }, (_, row) => ({
      sessionId: `session-${row % 37}`,
      [`key${row % 200}`]: { [`inner${row % 77}`]: row, both: { row } },
    }));
    for (const pack of Object.values(packings)) {
      const shares = split(pack({ t: "pub", seq: 1, events: list }));
      assert.equal(shares.length, hostCount);
      assert.deepEqual(putBack(shares), list);
    }
  });

  it("sends one event as it came", () => {
    for (const pack of Object.values(packings)) {
      const bytes = pack({ sessionId: "session-1", a: 1 });
      assert.equal(checkShares(bytes, FRAME_FORMATS.msgpack), 1);
    }
  });

  it('gives what cannot be decoded, or is no batch, to the host of session ""', () => {
    for (const frame of [
      5,
      "text",
      {},
      { t: "pub" },
      { events: 5 },
      { events: [] },
      { t: "pub", events: null, sessionId: "session-1" },
    ]) {
      for (const pack of Object.values(packings)) checkShares(pack(frame), FRAME_FORMATS.msgpack);
    }
    const bytes = packings["records"]?.(Array.from({ length: 20 }, (_, row) => ({ sessionId: `s${row}` }))) ?? assert.fail();
    for (let end = 0; end < bytes.length; end++) checkShares(bytes.slice(0, end), FRAME_FORMATS.msgpack);
    checkShares(Uint8Array.of(...bytes, 0xc0), FRAME_FORMATS.msgpack);
    checkShares(Uint8Array.of(0x92, 0x81, 0xa1, 0x61, 0xd4, 0x55, 0x00, 0xc0), FRAME_FORMATS.msgpack);
  });

  it("gives a batch of too many events whole to one host", () => {
    const list = Array.from({ length: 10_001 }, (_, row) => ({ sessionId: `s${row}` }));
    assert.equal(checkShares(new Packr({ useRecords: true }).pack(list), FRAME_FORMATS.msgpack), 1);
    assert.equal(checkShares(Buffer.from(JSON.stringify(list)), FRAME_FORMATS.json), 1);
    assert.equal(checkShares(Buffer.from(list.map((each) => JSON.stringify(each)).join("\n")), FRAME_FORMATS.ndjson), 1);
  });

  it("takes values that msgpackr alone knows", () => {
    const shared = { a: [1] };
    const list = Array.from({ length: 40 }, (_, row) => ({
      sessionId: `session-${row}`,
      at: new Date(1_432_000_000_000 + row),
      values: [new Set([row]), /x/g, 2n ** 80n, undefined, shared, 2n ** 60n, new Uint8Array([1])],
    }));
    const cloned = new Packr({ structuredClone: true, moreTypes: true } as object).pack(list);
    assert.ok(checkShares(Uint8Array.from(cloned), FRAME_FORMATS.msgpack) > 0);
    const bundled = new Packr({ bundleStrings: true }).pack(
      Array.from({ length: 40 }, (_, row) => ({ sessionId: `session-${row}`, text: "some text" })),
    );
    assert.equal(checkShares(Uint8Array.from(bundled), FRAME_FORMATS.msgpack), 1);
  });

  it("takes session ids that are broken UTF-8", () => {
    const list = Array.from({ length: 30 }, (_, row) => ({ sessionId: "~".repeat(3 + row * 3), row }));
    const bytes = Uint8Array.from(new Packr({ useRecords: false }).pack(list), (byte, at) =>
      byte === 0x7e ? ([0xff, 0xe2, 0x82][at % 3] ?? 0) : byte,
    );
    checkShares(bytes, FRAME_FORMATS.msgpack);
  });

  it("sends what is nested too deep whole to the host that keeps it", () => {
    for (const depth of [64, 65, 200, 10_000, 1_000_000]) {
      const bytes = new Uint8Array(depth + 1).fill(0x91);
      bytes[depth] = 0xc0;
      assert.equal(checkShares(bytes, FRAME_FORMATS.msgpack), 1);
    }
  });

  it("holds for any bytes", () => {
    const byte = fc.oneof(
      fc.constantFrom(0xd4, 0x72, 0x40, 0x41, 0x91, 0x92, 0x81, 0xa1, 0x61, 0xd5, 0x60, 0xc0, 0xd9),
      fc.nat(255),
    );
    const damaged = fc
      .tuple(events, fc.constantFrom(...Object.values(packings)), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([list, pack, damages]) => {
        const bytes = Uint8Array.from(pack(list));
        for (const [at, to] of damages) bytes[at % bytes.length] = to;
        return bytes;
      });
    const records = fc.array(byte, { maxLength: 60 }).map((bytes) => Uint8Array.of(0x94, ...bytes));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), records, damaged), (bytes) => {
        let shares = 0;
        try {
          shares = checkShares(bytes, FRAME_FORMATS.msgpack);
        } catch (error) {
          if (!(error instanceof WeirError)) throw error;
          return;
        }
        assert.ok(shares > 0);
      }),
      { numRuns: 1_500 },
    );
  });
});

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

describe("splitting JSON", () => {
  const blanks = fc.constantFrom("", " ", "\n\t ");
  it("copies the text of each event", () => {
    fc.assert(
      fc.property(events, fc.constantFrom(undefined, 1, 2), blanks, fc.boolean(), (list, indent, blank, isList) => {
        const items = blank + JSON.stringify(list, undefined, indent) + blank;
        const text = isList ? items : `{"events":[1],${blank}"x":{"events":"}]\\""} , "e\\u0076ents" ${blank}:${items}}`;
        checkShares(Buffer.from(text), FRAME_FORMATS.json);
      }),
      { numRuns: 150 },
    );
  });

  it("keeps numbers that a double cannot hold", () => {
    const text = Array.from({ length: 20 }, (_, row) => `{"sessionId":"s${row}","n":1e999,"m":12345678901234567890}`).join(",");
    const shares = split(Buffer.from(`[${text}]`), FRAME_FORMATS.json);
    assert.equal(shares.length, hostCount);
    for (const share of shares)
      assert.match(Buffer.from(share.bytes).toString(), /\[\{"sessionId":"s\d+","n":1e999,"m":12345678901234567890\}/);
  });

  it('gives what is no batch to the host of session ""', () => {
    for (const text of ["", "5", "null", "{", "{}", '{"events":5}', '{"t":"pub"}', "[]", '{"events":[]}', "\uFEFF[1]", '"\xff']) {
      checkShares(Buffer.from(text, "latin1"), FRAME_FORMATS.json);
      checkShares(Buffer.from(text), FRAME_FORMATS.json);
    }
  });
});

describe("splitting NDJSON", () => {
  const line = fc.oneof(
    { arbitrary: event.map((each) => JSON.stringify(each)), weight: 4 },
    fc.string().map((text) => text.replaceAll("\n", "")),
    fc.constantFrom(
      "",
      "  ",
      "\r",
      "{",
      '\uFEFF{"sessionId":"session-1"}',
      '{"sessionId":"session-2"}\r',
      "\uFEFF",
      '{"sessionId":"é"}',
    ),
  );

  it("keeps lines as they are and skips blank ones", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 60 }), fc.boolean(), (lines, hasMark) => {
        checkShares(Buffer.from((hasMark ? "\uFEFF" : "") + lines.join("\n")), FRAME_FORMATS.ndjson);
      }),
      { numRuns: 400 },
    );
  });

  it("numbers the rows by lines that are not blank", () => {
    const body = `\n{"sessionId":"session-1"}\n\n  \nnot json \n{"sessionId":"session-2"}\n`;
    const shares = split(Buffer.from(body), FRAME_FORMATS.ndjson);
    const lines = shares.flatMap(({ bytes, indexes }) => {
      const texts = Buffer.from(bytes)
        .toString()
        .split("\n")
        .filter((each) => each.trim() !== "");
      return texts.map((text, row) => [indexes?.[row], text]);
    });
    assert.deepEqual(
      lines.toSorted(([left = 0], [right = 0]) => Number(left) - Number(right)),
      [
        [0, '{"sessionId":"session-1"}'],
        [1, "not json "],
        [2, '{"sessionId":"session-2"}'],
      ],
    );
  });
});
