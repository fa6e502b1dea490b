/**
 * A disk without room: a small file system of its own holds the data and a file that takes what is left. With a reserve the
 * server refuses events before a commit can fail; without one the commits themselves meet the end of the disk.
 */
import { rmSync, writeFileSync, statfsSync, appendFileSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "../support/real-server.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { PATIENCE_MS, type World } from "./world.ts";

const DISK_MIB = 96;
const MIB = 1024 * 1024;
const BLOCK_BYTES = 4096;

/** Takes room until so many bytes are free, or none. */
function fill(world: World, freeBytes: number): void {
  const file = fillerOf(world);
  writeFileSync(file, "");
  for (const bytes of [MIB, BLOCK_BYTES]) {
    const block = Buffer.alloc(bytes, 0x5a);
    for (;;) {
      const { bavail, bsize } = statfsSync(world.parent);
      if (bavail * bsize - bytes < freeBytes) break;
      try {
        appendFileSync(file, block);
      } catch {
        break;
      }
    }
  }
}

function fillerOf({ parent }: World): string {
  return join(parent, "filler");
}

function free(world: World): void {
  rmSync(fillerOf(world), { force: true });
}

const cases: readonly StreamingFault[] = [
  {
    name: "disk-full-reserve",
    fault: "the disk fills up, to below the reserve",
    expected: "events are refused with WEIR_DISK_FULL, /readyz is 503 `failed` with journal `full`",
    needs: ["mount"],
    diskMib: DISK_MIB,
    flags: { diskReserveMib: 16 },
    inject: async (world) => fill(world, 8 * MIB),
    react: async (_world, observer) => {
      const seen = (): boolean => observer.refusals.has("WEIR_DISK_FULL") && observer.journals.has("full");
      await eventually(seen, "frames are refused for the full disk", PATIENCE_MS);
      return `${observer.refusals.get("WEIR_DISK_FULL")} frames refused WEIR_DISK_FULL, journal \`full\``;
    },
    heal: async (world) => free(world),
  },
  {
    name: "disk-full",
    fault: "the disk is full to the last block, no reserve is set",
    expected: "the commit fails, frames are refused with WEIR_HOST_FAILED, the host is opened again in place",
    needs: ["mount"],
    diskMib: DISK_MIB,
    mayExit: true,
    inject: async (world) => fill(world, 0),
    react: async ({ exits }, observer) => {
      const seen = (): boolean => observer.hostRestarts > 0 || exits.length > 0;
      await eventually(seen, "a host has failed and was opened again", PATIENCE_MS);
      const ended = exits.map(({ code, signal }) => `, the process ended with ${signal ?? code}`).slice(0, 1);
      const refused = observer.refusals.get("WEIR_HOST_FAILED") ?? 0;
      return `${refused} frames refused WEIR_HOST_FAILED, ${observer.hostRestarts} restarts of a host${ended.join("")}`;
    },
    heal: async (world) => free(world),
  },
];

export const fullDisk = cases.map(streaming);
