/**
 * What must hold of any bytes, without a server: nothing but coded errors is thrown; the plain reader gives up or reads what the
 * reference reads; the fast splitter gives up or shares out as the general one; the shares of a split frame together are the
 * frame. Throws an AssertionError where it does not.
 */
import assert from "node:assert/strict";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type EventColumns, type FrameFormat } from "../../protocol/event-columns.ts";
import { readEvents, type ReadRequest } from "../../protocol/event-reader.ts";
import { decodeClientFrame } from "../../protocol/frames.ts";
import { scanHead } from "../../protocol/msgpack-scan.ts";
import { readFrame, readPlainFrame } from "../../workers/frame-reader.ts";
import { KnownTexts } from "../support/known-fields.ts";
import { splitAnyFrame, type FrameShare, type SplitRequest } from "../../protocol/split-frame.ts";
import { plainShares, sharesOf } from "../support/frame-shares.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { deadLetterText } from "../../workers/dead-letter-text.ts";

const PARTITIONS = 16;
const HOSTS = 3;
const wanted: readonly string[] = ["eventType", "userId", "properties.k0", "properties.x", "context.deviceType", "source"];

const known = new KnownTexts();

/** Whether the frame was read the plain way. */
export function checkReaders(format: FrameFormat, bytes: Uint8Array, ingestTimeMs: number): boolean {
  if (format === FRAME_FORMATS.msgpack) {
    coded(() => scanHead(bytes));
    coded(() => decodeClientFrame(bytes));
  }
  const request = { format, bytes, tenant: "strangers", ingestTimeMs, partitionCount: PARTITIONS };
  const reference = coded(() => readEvents(request));
  const plain = readPlainFrame({ ...request, wanted });
  if (plain !== undefined) {
    assert.ok(!(reference instanceof WeirError), "the plain reader took what the reference refuses");
    assertSameRows(plain, reference);
    for (const path of wanted) {
      assert.deepEqual(plain.field(path), reference.field(path), path);
      known.check(plain, path);
    }
    plain.release();
  }
  checkSplit(request, reference);
  return plain !== undefined;
}

function coded<Value>(read: () => Value): Value | WeirError {
  try {
    return read();
  } catch (error) {
    if (error instanceof WeirError && error.code !== "WEIR_INTERNAL") return error;
    throw error;
  }
}

function assertSameRows(found: EventColumns, reference: EventColumns): void {
  assert.equal(found.count, reference.count);
  for (let row = 0; row < reference.count; row++) {
    assert.deepEqual(rowOf(found, row), rowOf(reference, row), `row ${row}`);
    assert.equal(typeof deadLetterText(FRAME_FORMATS.msgpack, found.raw(row)), "string");
  }
}

function rowOf(columns: EventColumns, row: number) {
  const verdict = columns.verdicts[row];
  return {
    verdict,
    path: columns.wrongPaths.get(row),
    eventId: columns.eventIds.text(row),
    sessionId: columns.sessionIds[row],
    partition: columns.partitions[row],
    ...(verdict === ACCEPTED && {
      userId: columns.userIds[row],
      eventType: columns.eventTypes[row],
      eventTimeMs: columns.eventTimesMs[row],
      event: columns.events[row],
    }),
  };
}

function checkSplit(request: ReadRequest, reference: EventColumns | WeirError): void {
  const { format, bytes, tenant } = request;
  const hostOf = (partition: number) => partition % HOSTS;
  const split = { format, bytes, tenant, partitionCount: PARTITIONS, hostOf };
  if (format === FRAME_FORMATS.msgpack) checkPlainSplit(split);
  const shares = coded(() => sharesOf(split));
  if (shares instanceof WeirError) {
    // The one refusal that only a split can have: shapes that repeat without end.
    assert.equal(shares.code, "WEIR_FRAME_TOO_LARGE");
    return;
  }
  if (reference instanceof WeirError) {
    assert.equal(shares.length, 1, "a refused frame is not split");
    return;
  }
  let rows = 0;
  for (const share of shares) {
    const part = readFrame({ ...request, format: share.format, bytes: share.bytes, wanted });
    rows += part.count;
    for (let row = 0; row < part.count; row++) {
      const whole = share.indexes === undefined ? row : (share.indexes[row] ?? -1);
      assert.deepEqual(rowOf(part, row), rowOf(reference, whole), `row ${whole} in the share of host ${share.host}`);
      assert.equal(hostOf(part.partitions[row] ?? -1), share.host);
    }
  }
  assert.equal(rows, reference.count, "every row is in one share");
}

function checkPlainSplit(request: SplitRequest): void {
  const plain = plainShares(request);
  if (plain === undefined) return;
  const general = splitAnyFrame(request);
  assert.deepEqual(rowsByHost(plain), rowsByHost(general));
}

function rowsByHost(split: number | readonly FrameShare[]) {
  return typeof split === "number" ? split : split.map(({ host, indexes }) => ({ host, indexes }));
}
