/**
 * One life of a host: from its start, in a worker thread or inline, to the moment when nothing of it runs any more and its
 * environments are closed. Only then may the next life open them.
 */
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { WeirError } from "../protocol/error-codes.ts";
import { realEnvironment, type HostEnvironment } from "./environment.ts";
import type { HostOptions } from "./host-options.ts";
import { inlineLine, threadLine } from "./line.ts";
import type { FromHost, HostLine, ToHost } from "./messages.ts";
import { runHost } from "./partition-worker.ts";

const YOUNG_GENERATION_MIB = 64;
/**
 * A host's heap is some 20 MB, its state and its frames lie outside. V8 adds what has come outside to the heap when it decides
 * whether that has grown enough to be collected whole, so tables that grow and buffers on their way had it marked every 40,000
 * events (decision 0027; `npm run bench -- ingest`). With this it may grow to four times of what the last collection left, which
 * is the most that V8 lets it grow by itself. The flag is the process's: there is none for a thread.
 */
const HEAP_GROWING_PERCENT = 300;
/** A thread closes its environments and ends by itself; one that does not is ended. */
const END_MS_MAX = 10_000;

export interface HostLife {
  readonly line: HostLine<ToHost, FromHost>;
  /** Called when it has ended by itself, with the reason. */
  onEnd(handler: (error: WeirError) => void): void;
  /**
   * Asks it to close what it holds, then ends it. Rejects when it cannot be ended: LMDB gives all of a process one and the same
   * environment, so nothing can be opened anew while a stuck thread has it.
   */
  end(): Promise<void>;
  /** Ends it as it is: what is on disk is all that is left. */
  kill(): Promise<void>;
}

export function threadLife(options: HostOptions, entry = new URL("./partition-thread.js", import.meta.url)): HostLife {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const worker = new Worker(entry, {
    workerData: options,
    name: `weir-host-${options.host}`,
    // A turn's columns are garbage when it ends: with room for several turns, most of it is never copied.
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
  });
  const line = threadLine<ToHost, FromHost>(worker);
  let reason: WeirError | undefined;
  const exited = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  worker.on("error", (cause) => (reason = new WeirError("WEIR_HOST_FAILED", String(cause), { cause })));
  return {
    line,
    onEnd: (handler) => void worker.once("exit", (code) => handler(reason ?? new WeirError("WEIR_HOST_FAILED", `Exit ${code}.`))),
    async end() {
      line.post({ type: "end" });
      if (await within(END_MS_MAX, exited)) return;
      if (!(await within(END_MS_MAX, worker.terminate()))) {
        throw new WeirError("WEIR_HOST_FAILED", `The thread of host ${options.host} does not end.`);
      }
    },
    async kill() {
      line.close();
      await worker.terminate();
    },
  };
}

/** In this thread. What it throws outside of its own turns ends the process, as anywhere in the main thread. */
export function inlineLife(options: HostOptions, environment: HostEnvironment = realEnvironment): HostLife {
  const [line, hostEnd] = inlineLine<ToHost, FromHost>(environment.soon);
  const ended = runHost(options, hostEnd, environment);
  return {
    line,
    // It says by a message why it ends; an exit without one there is not.
    onEnd: () => undefined,
    async end() {
      line.post({ type: "end" });
      if (!(await within(END_MS_MAX, ended))) throw new WeirError("WEIR_HOST_FAILED", "The host does not end.");
    },
    async kill() {
      line.close();
    },
  };
}

async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  const done = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return done;
}
