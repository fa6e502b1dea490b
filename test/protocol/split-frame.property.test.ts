/**
 * Laws (`split-laws.ts`): of any bytes, any way of packing and any container; any bytes make shares or a WeirError.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { checkShares, containers, event, events, hostCount, packings, putBack, split, unpackr } from "../support/split-laws.ts";

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
