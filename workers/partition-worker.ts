/**
 * Runs one partition host on a line to the main thread, in a worker thread or inline. Top to bottom:
 *
 *   frames -> PartitionHost: decide, count, journal -> outcomes back
 *   tick   -> changed partials -> MetricHost here, or the line to the host of the metric
 *   tick   -> changed channels -> deltas back;   changed panes -> rows in the metric store
 *   tick   -> snapshots, journal trimmed
 *
 * It ends when it is drained, told to, or when something fails: then what is on disk is all that counts, everything is closed
 * as it is, and the main thread opens the host anew (`supervise-host.ts`).
 */
import { WeirError } from "../protocol/error-codes.ts";
import { limits } from "../protocol/limits.ts";
import type { CollectedPartials } from "../actors/partition.ts";
import { answerQuestion } from "./answer.ts";
import { realEnvironment, type HostEnvironment } from "./environment.ts";
import { unpackFrames, type HandedFrame } from "./hand-off.ts";
import type { HostOptions } from "./host-options.ts";
import { statusOf } from "./host-status.ts";
import type { FromHost, HostFailure, HostLine, ToHost } from "./messages.ts";
import { openHost, type Deliveries, type OpenHost } from "./open-host.ts";
import { packOutcomes } from "./packed-outcomes.ts";
import { PartialPace } from "./partial-pace.ts";
import { markOf, type RecordMark } from "./poison.ts";
import { shareOf } from "./route-partials.ts";
import { newStageTimes, stageFigures } from "./stage-times.ts";

const ROWS_EVERY_MS = 500;
const STATUS_EVERY_MS = 1_000;
/** For so long after a failure frames are applied one by one: senders send again at once what was not answered. */
const CAREFUL_MS = 30_000;

/** Resolves when the host has ended and its environments are closed. */
export async function runHost(
  options: HostOptions,
  line: HostLine<FromHost, ToHost>,
  environment: HostEnvironment = realEnvironment,
): Promise<void> {
  const stages = newStageTimes();
  const timers: (() => void)[] = [];
  const partialPace = new PartialPace(options.partialEveryMs);
  let state: "starting" | "running" | "failed" | "stopped" = "starting";
  let host: OpenHost | undefined;
  const progress: Deliveries["progress"] = {};
  let finish: () => void = () => undefined;
  const over = new Promise<void>((resolve) => (finish = resolve));

  /** False when it was over already. */
  const end = (how: "failed" | "stopped"): boolean => {
    if (state === "failed" || state === "stopped") return false;
    state = how;
    for (const cancel of timers) cancel();
    if (how === "failed") finish();
    return true;
  };
  const fail = (error: unknown, frames: readonly HandedFrame[] = []): void => {
    if (end("failed")) line.post({ type: "failed", ...failureOf(error, frames, progress.record, host) });
  };
  const guarded = (work: () => void | Promise<void>) => (): void => {
    if (state === "running") Promise.resolve().then(work).catch(fail);
  };

  const deliverPartials = (partials: readonly CollectedPartials[]): void => {
    for (let target = 0; target < options.hosts; target++) {
      const share = shareOf(partials, target, options.hosts);
      if (target === options.host) host?.metricHost.receive(share);
      else line.post({ type: "partials", host: target, partials: share });
    }
  };

  /** What came before the host was open: partials of hosts that recovered sooner. */
  const early: ToHost[] = [];
  const handle = (message: ToHost): void => {
    if (message.type === "end") return void end("failed");
    if (state === "failed") return;
    if (host === undefined) {
      early.push(message);
      return;
    }
    switch (message.type) {
      case "frames":
        return host.partitionHost.accept(unpackFrames(message.batch, message.tenants));
      case "partials":
        return host.metricHost.receive(message.partials);
      case "close":
        return host.metricHost.close(message.address);
      case "heard":
        partialPace.isHeard = message.isHeard;
        return;
      case "go":
        return host.metricHost.go();
      case "stored":
        host.snapshots.storedOffset = message.offset;
        host.metricHost.storedRows = message.rows;
        return;
      case "ask":
        void answer(host, message);
    }
  };

  const answer = async (open: OpenHost, { id, kind, ask }: Extract<ToHost, { type: "ask" }>): Promise<void> => {
    try {
      if (kind === "drain") await drain(open);
      const result = kind === "drain" ? null : await answerQuestion(open, options, kind, ask, environment.now());
      line.post({ type: "answer", id, answer: result });
      if (kind === "drain") finish();
    } catch (error) {
      const code = error instanceof WeirError ? error.code : "WEIR_INTERNAL";
      line.post({ type: "refusal", id, code, message: error instanceof Error ? error.message : String(error) });
      if (code === "WEIR_JOURNAL_COMMIT_FAILED" || !(error instanceof WeirError)) fail(error);
    }
  };

  const drain = async (open: OpenHost): Promise<void> => {
    for (const cancel of timers) cancel();
    await open.partitionHost.finish();
    await open.partitionHost.collect();
    await open.metricHost.finishRows();
    // One that is under way may have begun before the last records.
    await open.snapshots.takeFresh(environment.now());
    if (end("stopped")) await open.close();
  };

  const every = (ms: number, action: () => void | Promise<void>): void => {
    timers.push(environment.every(ms, guarded(action)));
  };

  const work = (open: OpenHost): void => {
    every(options.partialEveryMs, async () => {
      const startedMs = environment.elapsed();
      if (partialPace.isDue(startedMs)) partialPace.took(startedMs, await open.partitionHost.collectInTurns(environment.elapsed));
    });
    // More often than partials are handed on: those of other hosts come at any time.
    every(Math.ceil(options.partialEveryMs / 2), () => open.metricHost.refreshChannels(environment.now()));
    every(ROWS_EVERY_MS, () => open.metricHost.writeRows());
    every(options.snapshotEveryMs, () => open.snapshots.take(environment.now()));
    const postStatus = (): void => line.post({ type: "status", status: statusOf(open, options, stageFigures(stages)) });
    every(STATUS_EVERY_MS, async () => {
      postStatus();
      // Dead letters wait in memory for a snapshot: a flood of them brings it forward.
      if (deadLetterBytes(open) > limits.pendingDeadLetterBytesMax) await open.snapshots.take(environment.now());
    });
    if (options.again !== undefined) every(CAREFUL_MS, () => void (open.partitionHost.careful = false));
    postStatus();
  };

  line.onMessage(handle);
  try {
    host = await openHost(options, environment, {
      stages,
      progress,
      deliverOutcomes: (outcomes, spent) => line.post({ type: "outcomes", outcomes: packOutcomes(outcomes), spent }, spent),
      deliverPartials,
      deliverDeltas: (deltas) => line.post({ type: "deltas", deltas }),
      applying: (frame) => line.post({ type: "applying", frame: frame === undefined ? undefined : markOf(frame) }),
      fail,
    });
    host.partitionHost.careful = options.again !== undefined;
    for (const message of early.splice(0)) handle(message);
    const collectedMs = environment.elapsed();
    await host.partitionHost.collect();
    host.recovery.collectMs = environment.elapsed() - collectedMs;
    if (state === "starting") {
      state = "running";
      work(host);
      line.post({ type: "recovered", replayedRecords: host.replayedRecords });
    }
  } catch (error) {
    fail(error);
  }
  await over;
  await host?.abandon();
}

function failureOf(
  error: unknown,
  frames: readonly HandedFrame[],
  record: RecordMark | undefined,
  host: OpenHost | undefined,
): HostFailure {
  const [frame] = frames;
  return {
    code: error instanceof WeirError ? error.code : "WEIR_INTERNAL",
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    shared: host?.sharedFailed ?? false,
    ...(frame !== undefined && frames.length === 1 ? { frame: markOf(frame) } : {}),
    ...(record === undefined ? {} : { record }),
  };
}

function deadLetterBytes(host: OpenHost): number {
  let bytes = 0;
  for (const partition of host.partitions.values()) bytes += partition.deadLetterBytes;
  return bytes;
}
