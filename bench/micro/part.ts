/**
 * What the micro benches share: a piece of work over the events of the canonical workload, timed for a number of rounds that
 * alternate with those of all other pieces. Every round checks its result; the time of preparing and checking is not counted.
 */
import { Packr } from "msgpackr";
import { FRAME_FORMATS, type FrameFormat } from "../../protocol/event-columns.ts";
import { encodePublish } from "../../protocol/frames.ts";
import { fieldsOf } from "../../actors/metric-plan.ts";
import { defaultMetrics } from "../../protocol/metric-definition.ts";
import type { PartitionRules } from "../../actors/partition.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { encodeTemplates, stampFrame, type FrameEncoder } from "../frame-template.ts";
import type { Figures } from "../harness.ts";
import { generateTemplates, type WorkloadEvent, type WorkloadParameters } from "../workload.ts";

export const TENANT = "bench";
export const PARTITIONS = 16;
/** The fields that the default metrics read; one instance, as the plain reader asks for. */
export const wantedFields: readonly string[] = fieldsOf(defaultMetrics);

/** The settings of a server that nobody has configured. */
export const defaultRules: PartitionRules = {
  gapMs: 30 * MINUTE_MS,
  allowedLatenessMs: 7 * DAY_MS,
  dedupKey: { low: 0x01234567, high: 0x89abcdef },
  dedupHorizonMs: DAY_MS,
  paneRetention: { fineMs: HOUR_MS, minuteMs: DAY_MS, allMs: 7 * DAY_MS },
  deadLetterRetentionMs: 90 * DAY_MS,
};

export interface MicroInput {
  readonly workload: WorkloadParameters;
  readonly templates: readonly (readonly WorkloadEvent[])[];
  /** Frames of one round. */
  readonly frames: number;
}

/** Must do the same work in each round. */
export interface MicroWork {
  readonly name: string;
  /** Throws when the result is wrong. */
  round(): Figures | Promise<Figures>;
  close?(): void | Promise<void>;
}

export type MicroPart = (input: MicroInput) => readonly MicroWork[] | Promise<readonly MicroWork[]>;

export function microInput(workload: WorkloadParameters, frames: number): MicroInput {
  return { workload, frames, templates: generateTemplates(workload) };
}

const mapPackr = new Packr({ useRecords: false });
const encoders: Readonly<Record<"records" | "maps" | "json", FrameEncoder>> = {
  records: encodePublish,
  maps: (seq, events) => mapPackr.pack({ t: "pub", seq, events }),
  json: (seq, events) => Buffer.from(JSON.stringify({ t: "pub", seq, events })),
};

export interface EncodedFrames {
  readonly format: FrameFormat;
  readonly frames: readonly Buffer[];
}

/** Frames 0 .. frames - 1 of the workload's run. */
export function encodedFrames(input: MicroInput, codec: keyof typeof encoders): EncodedFrames {
  const frameAt = frameMaker(input, codec);
  return {
    format: codec === "json" ? FRAME_FORMATS.json : FRAME_FORMATS.msgpack,
    frames: Array.from({ length: input.frames }, (_, index) => frameAt(index)),
  };
}

/** The same one by one, for runs that are larger than memory. */
export function frameMaker({ workload }: MicroInput, codec: keyof typeof encoders): (index: number) => Buffer {
  const encoded = encodeTemplates(workload, encoders[codec]);
  return (index) => {
    const template = encoded[index % encoded.length];
    if (template === undefined) throw new RangeError("no templates");
    stampFrame(template, index);
    return Buffer.from(template.bytes);
  };
}

/** Nanoseconds for each of `count` things that `work` does. */
export function timed(count: number, work: () => void): number {
  const startedMs = performance.now();
  work();
  return ((performance.now() - startedMs) * 1e6) / count;
}

export function check(isRight: boolean, what: string): void {
  if (!isRight) throw new Error(`wrong result: ${what}`);
}
