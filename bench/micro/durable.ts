/** What stands between threads and disks: the hand-off of frames, the sealing of records, the journal. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Offset, TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { LmdbJournal } from "../../storage/lmdb/journal.ts";
import { FrameBatch, unpackFrames } from "../../workers/hand-off.ts";
import { RecordArena } from "../../workers/record-arena.ts";
import { openRecord } from "../../workers/sealed-record.ts";
import { check, encodedFrames, microInput, TENANT, timed, type MicroInput, type MicroWork } from "./part.ts";

/** As many as a host takes in one turn, so as many as one commit has. */
const TURN = limits.turnFramesFull;
/** Of frames of one event a turn takes more. */
const SMALL_RECORDS = 256;

export async function durableWorks(input: MicroInput): Promise<readonly MicroWork[]> {
  return [
    handOff(input),
    await journaling("journal", input, TURN),
    await journaling("journal, single events", singleEvents(input), SMALL_RECORDS),
  ];
}

/** The same number of frames, each of one event. */
function singleEvents({ workload, frames }: MicroInput): MicroInput {
  return microInput({ ...workload, batch: 1 }, frames);
}

function handOff(input: MicroInput): MicroWork {
  const { format, frames } = encodedFrames(input, "records");
  const { batch: perFrame, nowMs } = input.workload;
  const sent = frames.reduce((sum, { length }) => sum + length, 0);
  return {
    name: "hand-off",
    round() {
      const batch = new FrameBatch();
      let bytesSeen = 0;
      const nsPerEvent = timed(frames.length * perFrame, () => {
        for (let first = 0; first < frames.length; first += TURN) {
          frames.slice(first, first + TURN).forEach((bytes, id) => {
            batch.add({ id, tenant: TENANT as TenantId, format, allResults: false, ingestTimeMs: nowMs, bytes });
          });
          const taken = batch.take();
          for (const { bytes } of unpackFrames(taken.batch, taken.tenants)) bytesSeen += bytes.length;
          batch.recycle([taken.batch.buffer]);
        }
      });
      check(bytesSeen === sent, `${bytesSeen} of ${sent} bytes were handed over`);
      return { nsPerEvent };
    },
  };
}

/** The journal with so many records in each commit. */
async function journaling(name: string, input: MicroInput, perCommit: number): Promise<MicroWork> {
  const folder = await mkdtemp(join(tmpdir(), "weir-bench-"));
  const journal = LmdbJournal.open(folder);
  const arena = new RecordArena();
  const { format, frames } = encodedFrames(input, "records");
  const events = frames.length * input.workload.batch;
  const verdicts = new Uint8Array(input.workload.batch);
  const common = {
    kind: "frame",
    tenant: TENANT as TenantId,
    ingestTimeMs: input.workload.nowMs,
    format,
    decodable: true,
  } as const;
  return {
    name,
    async round() {
      const first = journal.appendedOffset + 1;
      let appendMs = 0;
      let commitMs = 0;
      for (let from = 0; from < frames.length; from += perCommit) {
        const startedMs = performance.now();
        for (const bytes of frames.slice(from, from + perCommit)) {
          journal.append(arena.write({ ...common, verdicts, bytes }, journal.appendedOffset + 1));
        }
        const appendedMs = performance.now();
        arena.release(await journal.flush());
        commitMs += performance.now() - appendedMs;
        appendMs += appendedMs - startedMs;
      }
      let records = 0;
      const readBackNsPerEvent = timed(events, () => {
        for (const { record } of journal.read(first as Offset)) {
          const opened = openRecord(record);
          if (opened.kind === "frame" && opened.bytes.length === frames[records]?.length) records++;
        }
      });
      check(records === frames.length, `${records} of ${frames.length} records are there`);
      const toNs = 1e6 / events;
      return { nsPerEvent: appendMs * toNs, commitNsPerEvent: commitMs * toNs, readBackNsPerEvent };
    },
    async close() {
      await journal.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
