/**
 * All partition hosts as the gateway sees them: starts them (in worker threads or inline), hands frames over, routes partials
 * between them, asks them questions, joins the answers. Lives in the main thread.
 */
import { Worker } from "node:worker_threads";
import { assert } from "../protocol/assert.ts";
import { isErrorCode, WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { realEnvironment, type HostEnvironment } from "./environment.ts";
import type { HandedFrame } from "./hand-off.ts";
import { FrameBatch } from "./hand-off.ts";
import type { HostOptions } from "./host-options.ts";
import { inlineLine, threadLine } from "./line.ts";
import type { FromHost, HostLine, HostOutcome, HostQuestions, QuestionKind, ToHost } from "./messages.ts";
import { runHost } from "./partition-worker.ts";
import type {
  ChannelAddress,
  ChannelOpening,
  Channels,
  DeadLetterView,
  HostStatus,
  Ledger,
  LiveAnswer,
  LiveData,
  LiveQuery,
  SessionView,
  TenantClock,
} from "./ports.ts";
import { hostOfMetric } from "./route-partials.ts";

const YOUNG_GENERATION_MIB = 64;

export interface HostsOptions {
  /** One for each host. */
  readonly hosts: readonly HostOptions[];
  readonly inline: boolean;
  /** What inline hosts, and this, take from their surroundings. */
  readonly environment?: HostEnvironment;
  readonly now: () => number;
  readonly onOutcomes: (host: number, outcomes: readonly HostOutcome[]) => void;
  /** A host has stopped; what it had not answered will never be. */
  readonly onFailed: (host: number, error: WeirError) => void;
}

interface RunningHost {
  readonly line: HostLine<ToHost, FromHost>;
  readonly worker: Worker | undefined;
  batch: FrameBatch;
  status: HostStatus | undefined;
  state: "starting" | "running" | "failed" | "stopped";
  readonly recovered: Promise<number>;
  settleRecovered: { resolve: (replayed: number) => void; reject: (error: WeirError) => void };
}

interface OpenQuestion {
  readonly host: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: WeirError) => void;
}

export class Hosts implements LiveData, Channels {
  readonly #options: HostsOptions;
  readonly #environment: HostEnvironment;
  readonly #hosts: RunningHost[] = [];
  readonly #questions = new Map<number, OpenQuestion>();
  #lastQuestion = 0;
  #flushScheduled = false;
  #onDelta: (topic: string, frame: Uint8Array) => void = () => undefined;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#environment = options.environment ?? realEnvironment;
  }

  get count(): number {
    return this.#options.hosts.length;
  }

  get statuses(): HostStatus[] {
    return this.#hosts.flatMap(({ status, state }) => (status === undefined ? [] : [{ ...status, state }]));
  }

  get states(): RunningHost["state"][] {
    return this.#hosts.map(({ state }) => state);
  }

  /** Starts all hosts, waits until they have recovered, and lets them go. Returns how many records were replayed. */
  async start(): Promise<number> {
    this.#options.hosts.forEach((options, host) => this.#hosts.push(this.#launch(options, host)));
    const replayed = await Promise.all(this.#hosts.map(({ recovered }) => recovered));
    for (const host of this.#hosts) {
      host.state = "running";
      host.line.post({ type: "go" });
    }
    return replayed.reduce((sum, each) => sum + each, 0);
  }

  /** Hands a frame over with all others of this turn of the event loop. The bytes are copied. */
  hand(host: number, frame: HandedFrame): void {
    this.#hosts[host]?.batch.add(frame);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#environment.soon(() => this.#flush());
  }

  stored(host: number, offset: number, rows: number): void {
    this.#hosts[host]?.line.post({ type: "stored", offset, rows });
  }

  async query(tenant: TenantId, queries: readonly LiveQuery[]): Promise<readonly LiveAnswer[]> {
    await this.#collect();
    const byHost = queries.map(({ metric }) => hostOfMetric(tenant, metric, this.count));
    const answers = new Array<LiveAnswer>(queries.length);
    await Promise.all(
      [...new Set(byHost)].map(async (host) => {
        const indexes = queries.flatMap((_, index) => (byHost[index] === host ? [index] : []));
        const asked = indexes.flatMap((index) => queries[index] ?? []);
        const answered = await this.#ask(host, "query", { tenant, queries: asked });
        answered.forEach((answer, at) => (answers[indexes[at] ?? 0] = answer));
      }),
    );
    return answers;
  }

  async session(tenant: TenantId, sessionId: string): Promise<SessionView | undefined> {
    const found = await this.#askAll("session", { tenant, sessionId });
    return found.find((view) => view !== undefined);
  }

  async deadLetters(tenant: TenantId, options: { limit: number; code?: string }): Promise<readonly DeadLetterView[]> {
    const letters = (await this.#askAll("deadLetters", { tenant, ...options })).flat();
    return letters.toSorted((a, b) => b.ingestTimeMs - a.ingestTimeMs).slice(0, options.limit);
  }

  async ledger(tenant: TenantId): Promise<Ledger> {
    const sum = { received: 0, accepted: 0, duplicate: 0, late: 0, invalid: 0 };
    for (const ledger of await this.#askAll("ledger", { tenant })) {
      for (const key of ["received", "accepted", "duplicate", "late", "invalid"] as const) sum[key] += ledger[key];
    }
    return sum;
  }

  async clock(tenant: TenantId): Promise<TenantClock> {
    await this.#collect();
    return this.#ask(0, "clock", { tenant });
  }

  async define(tenant: TenantId, definitions: readonly MetricDefinition[]): Promise<void> {
    // Frames published before this call come first.
    this.#flush();
    const fresh = await this.#askAll("define", { tenant, definitions, ingestTimeMs: this.#options.now() });
    // A host that was done first may have handed partials of a new metric to one that did not know it yet.
    const metrics = [...new Set(fresh.flat())];
    if (this.count > 1 && metrics.length > 0) await this.#askAll("recollect", { tenant, metrics });
  }

  /** Writes everything that waits for a tick: pane rows, snapshots. Resolves with how far each host's journal is. */
  async snapshot(): Promise<readonly number[]> {
    await this.#collect();
    return this.#askAll("snapshot", null);
  }

  open(
    address: ChannelAddress,
    since: { epoch: string; seq: number } | undefined,
    opened: (opening: ChannelOpening) => void,
  ): void {
    const host = hostOfMetric(address.tenant, address.metric, this.count);
    this.#askThen(host, "open", { address, since }, opened, (error) => opened({ kind: "refused", code: error.code }));
  }

  close(address: ChannelAddress): void {
    this.#hosts[hostOfMetric(address.tenant, address.metric, this.count)]?.line.post({ type: "close", address });
  }

  onDelta(handler: (topic: string, frame: Uint8Array) => void): void {
    this.#onDelta = handler;
  }

  /** Every host finishes what it has, snapshots and stops. */
  async drain(): Promise<void> {
    this.#flush();
    await this.#collect();
    const running = this.#hosts.flatMap(({ state }, host) => (state === "running" ? [host] : []));
    await Promise.all(running.map((host) => this.#ask(host, "drain", null)));
    for (const host of this.#hosts) host.state = "stopped";
    await this.stop();
  }

  /** Ends the threads as they are. */
  async stop(): Promise<void> {
    for (const { line } of this.#hosts) line.close();
    await Promise.all(this.#hosts.flatMap(({ worker }) => worker?.terminate() ?? []));
  }

  #launch(options: HostOptions, host: number): RunningHost {
    const { promise, ...settleRecovered } = withResolvers<number>();
    const worker = this.#options.inline
      ? undefined
      : new Worker(new URL("./partition-thread.js", import.meta.url), {
          workerData: options,
          name: `weir-host-${host}`,
          // A turn's columns are garbage when it ends: with room for several turns, most of it is never copied.
          resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
        });
    const [line, hostEnd] =
      worker === undefined
        ? inlineLine<ToHost, FromHost>(this.#environment.soon)
        : [threadLine<ToHost, FromHost>(worker), undefined];
    const running: RunningHost = {
      line,
      worker,
      batch: new FrameBatch(),
      status: undefined,
      state: "starting",
      recovered: promise,
      settleRecovered,
    };
    line.onMessage((message) => this.#receive(host, message));
    worker?.on("error", (cause) => this.#fail(host, new WeirError("WEIR_HOST_FAILED", String(cause), { cause })));
    worker?.on("exit", (code) => {
      if (running.state !== "stopped") this.#fail(host, new WeirError("WEIR_HOST_FAILED", `Exit ${code}.`));
    });
    if (hostEnd !== undefined) void runHost(options, hostEnd, this.#environment);
    return running;
  }

  #receive(host: number, message: FromHost): void {
    switch (message.type) {
      case "recovered":
        return this.#hosts[host]?.settleRecovered.resolve(message.replayedRecords);
      case "outcomes":
        this.#hosts[host]?.batch.recycle(message.spent);
        return this.#options.onOutcomes(host, message.outcomes);
      case "partials":
        return this.#hosts[message.host]?.line.post({ type: "partials", partials: message.partials });
      case "deltas":
        for (const { topic, frame } of message.deltas) this.#onDelta(topic, frame);
        return;
      case "answer":
        return this.#takeQuestion(message.id)?.resolve(message.answer);
      case "refusal":
        return this.#takeQuestion(message.id)?.reject(errorOf(message.code, message.message));
      case "status": {
        const running = this.#hosts[host];
        if (running !== undefined) running.status = message.status;
        return;
      }
      case "failed":
        return this.#fail(host, errorOf(message.code, message.message));
    }
  }

  #fail(host: number, error: WeirError): void {
    const running = this.#hosts[host];
    if (running === undefined || running.state === "failed" || running.state === "stopped") return;
    running.state = "failed";
    running.settleRecovered.reject(error);
    for (const [id, question] of this.#questions) {
      if (question.host === host) this.#takeQuestion(id)?.reject(new WeirError("WEIR_HOST_FAILED"));
    }
    this.#options.onFailed(host, error);
  }

  #flush(): void {
    this.#flushScheduled = false;
    for (const { batch, line } of this.#hosts) {
      if (batch.isEmpty) continue;
      const taken = batch.take();
      line.post({ type: "frames", ...taken }, [taken.batch.buffer]);
    }
  }

  /** After this, the metric actors have every event that was acknowledged before. */
  async #collect(): Promise<void> {
    await this.#askAll("collect", null);
  }

  #askAll<Kind extends QuestionKind>(kind: Kind, ask: HostQuestions[Kind]["ask"]): Promise<HostQuestions[Kind]["answer"][]> {
    return Promise.all(this.#hosts.map((_, host) => this.#ask(host, kind, ask)));
  }

  #ask<Kind extends QuestionKind>(
    host: number,
    kind: Kind,
    ask: HostQuestions[Kind]["ask"],
  ): Promise<HostQuestions[Kind]["answer"]> {
    return new Promise((resolve, reject) => this.#askThen(host, kind, ask, resolve, reject));
  }

  #askThen<Kind extends QuestionKind>(
    host: number,
    kind: Kind,
    ask: HostQuestions[Kind]["ask"],
    resolve: (answer: HostQuestions[Kind]["answer"]) => void,
    reject: (error: WeirError) => void,
  ): void {
    const running = this.#hosts[host];
    assert(running !== undefined, `there is no host ${host}`);
    if (running.state === "failed" || running.state === "stopped") return reject(new WeirError("WEIR_HOST_FAILED"));
    const id = ++this.#lastQuestion;
    this.#questions.set(id, { host, resolve: resolve as (answer: unknown) => void, reject });
    running.line.post({ type: "ask", id, kind, ask });
  }

  #takeQuestion(id: number): OpenQuestion | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    return question;
  }
}

function errorOf(code: string, message: string): WeirError {
  return new WeirError(isErrorCode(code) ? code : "WEIR_INTERNAL", message);
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: WeirError) => void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: WeirError) => void = () => undefined;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
