/** Frames are refused while the disk has less room than the reserve, and taken again by themselves. */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { DiskSpace } from "../../server/disk-space.ts";
import { Ingest } from "../../server/ingest.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import type { Hosts } from "../../workers/hosts.ts";
import type { PublishOutcome } from "../../workers/ports.ts";

test("it is full below the reserve, and has room again only some way above it", async () => {
  let free: number | Error = 1_000;
  const changes: [boolean, number][] = [];
  const disk = new DiskSpace({
    path: "/",
    reserveBytes: 100,
    onChange: (isFull, bytes) => changes.push([isFull, bytes]),
    readFree: async () => {
      if (free instanceof Error) throw free;
      return free;
    },
  });
  for (free of [1_000, 100, 99, 105, 109, 120, 105, 50]) await disk.poll();
  assert.deepEqual(changes, [
    [true, 99],
    [false, 120],
    [true, 50],
  ]);
  // What cannot be told changes nothing.
  free = new Error("EIO");
  await disk.poll();
  assert.deepEqual([disk.isFull, disk.freeBytes], [true, undefined]);
});

test("the file system is asked", async () => {
  const disk = new DiskSpace({ path: tmpdir(), reserveBytes: 2 ** 60, onChange: () => undefined });
  await disk.start();
  disk.stop();
  assert.ok(disk.isFull && (disk.freeBytes ?? 0) > 0);
});

test("a full disk: nothing is handed to a host, and the code says to send again", async () => {
  let isFull = true;
  const handed: HandedFrame[] = [];
  const hosts = { count: 1, takesFrames: () => true, hand: (_host: number, frame: HandedFrame) => void handed.push(frame) };
  const ingest = new Ingest({
    hosts: hosts as unknown as Hosts,
    partitionCount: 1,
    now: () => 1,
    tenants: { isKnown: () => true, introduce: async () => undefined },
    isDiskFull: () => isFull,
  });
  const request = { tenant: "acme" as TenantId, format: FRAME_FORMATS.json, bytes: new Uint8Array(2), allResults: false };
  const refused = await new Promise<PublishOutcome>((resolve) => ingest.publish(request, resolve));
  assert.deepEqual([refused, handed.length], [{ kind: "refused", code: "WEIR_DISK_FULL" }, 0]);
  isFull = false;
  ingest.publish(request, () => undefined);
  assert.equal(handed.length, 1);
});
