/**
 * The laws of splitting as functions of a frame, and frames to hold to them: put back by their indexes, the events of all shares are
 * the events of the frame; each lies in the share of the host of the partition that the reader gives it, in the share as in the
 * frame; shares are decodable exactly when the frame is.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { partitionOf } from "../../protocol/partition-hash.ts";
import { sharesOf, type HostPart } from "./frame-shares.ts";
import { assertSameValues } from "./same-values.ts";

export const tenant = "demo" as TenantId;
export const partitionCount = 16;
export const hostCount = 5;
export const hostOf = (partition: number) => partition % hostCount;
export const unpackr = new Unpackr({ useRecords: true, mapsAsObjects: true });

export function split(bytes: Uint8Array, format: FrameFormat = FRAME_FORMATS.msgpack): HostPart[] {
  return sharesOf({ format, bytes, tenant, partitionCount, hostOf });
}

export function read(bytes: Uint8Array, format: FrameFormat): EventColumns | undefined {
  try {
    return readEvents({ format, bytes, tenant, ingestTimeMs: 0, partitionCount });
  } catch (error) {
    assert.ok(error instanceof WeirError);
    return undefined;
  }
}

/** The laws as the reader sees them, for any bytes. Returns the number of shares. */
export function checkShares(bytes: Uint8Array, format: FrameFormat): number {
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
export function putBack(shares: readonly HostPart[]): unknown[] {
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
export const key = fc.oneof(
  fc.constantFrom("a", "b", "c", "sessionId", "é"),
  fc.nat(120).map((index) => `key${index}`),
);
export const { value } = fc.letrec((tie) => ({
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
export const event = fc.oneof(
  {
    arbitrary: fc
      .tuple(fc.record({ sessionId }), fc.dictionary(key, value, { noNullPrototype: true }))
      .map(([a, b]) => ({ ...b, ...a })),
    weight: 6,
  },
  { arbitrary: fc.record({ eventId: fc.string(), sessionId, properties: fc.record({ value, n: fc.nat(200) }) }), weight: 6 },
  value,
);
export const events = fc.array(event, { minLength: 1, maxLength: 120 });

export const packings: Record<string, (frame: unknown) => Uint8Array> = {
  maps: (frame) => new Packr({ useRecords: false }).pack(frame),
  "shortest maps": (frame) => new Packr({ useRecords: false, variableMapSize: true }).pack(frame),
  records: (frame) => new Packr({ useRecords: true }).pack(frame),
  "few records, so redefined often": (frame) => new Packr({ useRecords: true, maxOwnStructures: 3 }).pack(frame),
  "two-byte records": (frame) => new Packr({ useRecords: true, maxOwnStructures: 500 }).pack(frame),
};
export const containers: Record<string, (list: unknown[]) => unknown> = {
  pub: (list) => ({ t: "pub", seq: 64, events: list }),
  "events first": (list) => ({ events: list, more: { sessionId: "no" }, t: "pub", seq: 1 }),
  list: (list) => list,
};
