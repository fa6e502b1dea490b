/** Bytes to columns: the plain reader, the reference reader and the validator alone. */
import type { EventColumns } from "../../protocol/event-columns.ts";
import { readEvents } from "../../protocol/event-reader.ts";
import { validateEvent } from "../../protocol/event-validator.ts";
import type { PlainRequest } from "../../protocol/plain-reader.ts";
import { FrameSplitter } from "../../protocol/split-frame.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";
import { readFrame } from "../../workers/frame-reader.ts";
import { splitProgram } from "../../workers/wasm-programs.ts";
import { check, encodedFrames, PARTITIONS, TENANT, timed, wantedFields, type MicroInput, type MicroWork } from "./part.ts";

export function readerWorks(input: MicroInput): readonly MicroWork[] {
  const fast = (request: PlainRequest): EventColumns => readFrame(request);
  return [
    readingOf("reader: records", input, "records", fast),
    readingOf("reader: maps", input, "maps", fast),
    readingOf("reference reader: maps", input, "maps", readEvents),
    readingOf("reference reader: JSON", input, "json", readEvents),
    splitting(input),
    validating(input),
  ];
}

function readingOf(
  name: string,
  input: MicroInput,
  codec: "records" | "maps" | "json",
  read: (request: PlainRequest) => EventColumns,
): MicroWork {
  const { format, frames } = encodedFrames(input, codec);
  const events = frames.length * input.workload.batch;
  const rest = { format, tenant: TENANT, ingestTimeMs: input.workload.nowMs, partitionCount: PARTITIONS, wanted: wantedFields };
  return {
    name,
    round() {
      let rows = 0;
      let refused = 0;
      const nsPerEvent = timed(events, () => {
        for (const bytes of frames) {
          const { count, verdicts } = read({ ...rest, bytes });
          rows += count;
          for (let row = 0; row < count; row++) if (verdicts[row] !== ACCEPTED) refused++;
        }
      });
      check(rows === events && refused === 0, `${name}: ${rows} rows, ${refused} of them refused`);
      return { nsPerEvent };
    },
  };
}

function splitting(input: MicroInput): MicroWork {
  const { format, frames } = encodedFrames(input, "records");
  const events = frames.length * input.workload.batch;
  const hostOf = (partition: number): number => partition % 2;
  const splitter = new FrameSplitter(splitProgram());
  return {
    name: "split for 2 hosts: records",
    round() {
      let rows = 0;
      const nsPerEvent = timed(events, () => {
        for (const bytes of frames) {
          const shares = splitter.split({ format, bytes, tenant: TENANT, partitionCount: PARTITIONS, hostOf });
          if (typeof shares === "number") rows += input.workload.batch;
          else for (const { indexes } of shares) rows += indexes.length;
        }
      });
      check(rows === events, `${rows} events in all shares`);
      return { nsPerEvent };
    },
  };
}

function validating({ templates, workload }: MicroInput): MicroWork {
  const events = templates.flat();
  return {
    name: "validator",
    round() {
      let valid = 0;
      const nsPerEvent = timed(events.length, () => {
        for (const event of events) if (validateEvent(event, workload.nowMs).verdict === ACCEPTED) valid++;
      });
      check(valid === events.length, `${valid} of ${events.length} events are valid`);
      return { nsPerEvent };
    },
  };
}
