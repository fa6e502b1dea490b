/**
 * All partition hosts as the gateway sees them: starts them (in worker threads or inline), hands frames over, routes partials
 * between them, asks them questions, joins the answers. Lives in the main thread.
 *
 * A host that fails is opened again while the others go on (`supervise-host.ts`). Its partitions hand out all their partials
 * as after any start; its metric actors are new and get those of the other hosts' partitions before they are asked anything.
 */
import { assert } from "../protocol/assert.ts";
import { isErrorCode, WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import { realEnvironment, type HostEnvironment } from "./environment.ts";
import { partitionOf } from "../protocol/partition-hash.ts";
import type { HandedFrame } from "./hand-off.ts";
import { FrameBatch } from "./hand-off.ts";
import { HandOffPace } from "./hand-off-pace.ts";
import { inlineLife, threadLife, type HostLife } from "./host-life.ts";
import { hostOfPartition, type HostOptions } from "./host-options.ts";
import type { FromHost, HostFailure, HostOutcome, HostQuestions, QuestionKind } from "./messages.ts";
import { OpenChannels, type AskOpen } from "./open-channels.ts";
import { unpackOutcomes } from "./packed-outcomes.ts";
import type {
  ChannelAddress,
  ChannelOpening,
  Channels,
  DeadLetterView,
  HostStatus,
  HostSupervision,
  Ledger,
  LiveAnswer,
  LiveData,
  LiveQuery,
  SessionView,
  TenantClock,
} from "./ports.ts";
import { restartPolicyDefault, type RestartPolicy } from "./restart-policy.ts";
import { hostOfMetric } from "./route-partials.ts";
import { SupervisedHost } from "./supervise-host.ts";

/** Not asked of a host that is back before its metric actors are. */
const METRIC_QUESTIONS: ReadonlySet<QuestionKind> = new Set(["query", "open", "clock"]);

export interface HostsOptions {
  /** One for each host. */
  readonly hosts: readonly HostOptions[];
  readonly inline: boolean;
  /** What inline hosts, and this, take from their surroundings. */
  readonly environment?: HostEnvironment;
  readonly now: () => number;
  readonly onOutcomes: (host: number, outcomes: readonly HostOutcome[]) => void;
  /** A host has failed; what it had not answered will never be. It is opened again. */
  readonly onFailed: (host: number, error: WeirError) => void;
  /** It takes frames and answers again. */
  readonly onRestarted?: (host: number) => void;
  /** It cannot be opened again in this process. */
  readonly onLost?: (host: number, error: WeirError) => void;
  /** Resolves when everybody else in this process has closed the host's environments. */
  readonly beforeReopen?: (host: number) => Promise<void>;
  readonly restart?: Partial<RestartPolicy>;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  /** In place of `inline`: how a life of a host is begun. */
  readonly launch?: (options: HostOptions) => HostLife;
}

interface HostedHost {
  readonly supervised: SupervisedHost;
  readonly channels: OpenChannels;
  batch: FrameBatch;
  /** Frames that were sent to it and that it has not answered. */
  unanswered: number;
  /** What the warehouse has, as last told. */
  stored: { readonly offset: number; readonly rows: number } | undefined;
}

interface OpenQuestion {
  readonly host: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: WeirError) => void;
}

export class Hosts implements LiveData, Channels {
  readonly #options: HostsOptions;
  readonly #environment: HostEnvironment;
  readonly #hosts: readonly HostedHost[];
  readonly #questions = new Map<number, OpenQuestion>();
  /** Every tenant's, as last asked for: a host that was down meanwhile gets them when it is back. */
  readonly #definitions = new Map<TenantId, readonly MetricDefinition[]>();
  #lastQuestion = 0;
  readonly #pace: HandOffPace;
  #onDelta: (topic: string, frame: Uint8Array) => void = () => undefined;
  /** Somebody subscribes to a channel. */
  #isHeard = false;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#environment = options.environment ?? realEnvironment;
    this.#pace = new HandOffPace({
      environment: this.#environment,
      hosts: options.hosts.length,
      isIdle: () => this.#hosts.every(({ unanswered }) => unanswered === 0),
      handOver: () => this.#flush(),
    });
    this.#hosts = options.hosts.map((each, host) => ({
      supervised: this.#supervise(each, host),
      channels: new OpenChannels(() => this.#tellHeard()),
      batch: new FrameBatch(),
      unanswered: 0,
      stored: undefined,
    }));
  }

  get count(): number {
    return this.#hosts.length;
  }

  get statuses(): HostStatus[] {
    return this.#hosts.flatMap(({ supervised }) => supervised.status ?? []);
  }

  get supervision(): HostSupervision[] {
    return this.#hosts.map(({ supervised }) => supervised.supervision);
  }

  takesFrames(host: number): boolean {
    return this.#hosts[host]?.supervised.takesFrames ?? false;
  }

  /** Starts all hosts, waits until they have recovered, and lets them go. Returns how many records were replayed. */
  async start(): Promise<number> {
    const replayed = await Promise.all(this.#hosts.map(({ supervised }) => supervised.start()));
    // One that needed a second life has missed what the others handed to its first.
    const late = [...this.#hosts.keys()].filter((host) => (this.#hosts[host]?.supervised.life ?? 0) > 1);
    this.#hosts.forEach((each, host) => late.includes(host) || this.#go(each));
    await Promise.all(late.map((host) => this.#rebuild(host)));
    return replayed.reduce((sum, each) => sum + each, 0);
  }

  /** Hands a frame over, together with those that come at about the same time (`hand-off-pace.ts`). The bytes are copied. */
  hand(host: number, frame: HandedFrame): void {
    const each = this.#hosts[host];
    if (each === undefined) return;
    if (!each.batch.hasRoomFor(frame)) sendBatch(each);
    each.batch.add(frame);
    this.#pace.gathered(frame.bytes.length);
  }

  stored(host: number, offset: number, rows: number): void {
    const each = this.#hosts[host];
    if (each === undefined) return;
    each.stored = { offset, rows };
    each.supervised.post({ type: "stored", offset, rows });
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
    // Only the host that has it: the others may be down.
    const partition = partitionOf(tenant, sessionId, this.#options.hosts[0]?.partitionCount ?? 1);
    return this.#ask(hostOfPartition(partition, this.count), "session", { tenant, sessionId });
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
    this.#definitions.set(tenant, definitions);
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
    const each = this.#hosts[host];
    const isRunning = each?.supervised.state === "running";
    each?.channels.open(address, since, opened, isRunning ? this.#askOpen(host) : undefined);
  }

  close(address: ChannelAddress, opened: (opening: ChannelOpening) => void): void {
    const each = this.#hosts[hostOfMetric(address.tenant, address.metric, this.count)];
    if (each?.channels.close(opened) === true) each.supervised.post({ type: "close", address });
  }

  onDelta(handler: (topic: string, frame: Uint8Array) => void): void {
    this.#onDelta = handler;
  }

  /** Every host finishes what it has, snapshots and stops. One that is down stays as it is on disk. */
  async drain(): Promise<void> {
    for (const { supervised } of this.#hosts) supervised.noMoreLives();
    this.#flush();
    const running = this.#hosts.flatMap(({ supervised }, host) => (supervised.takesFrames ? [host] : []));
    if (running.length === this.count) await this.#collect();
    await Promise.all(
      running.map(async (host) => {
        await this.#ask(host, "drain", null);
        // Its end is none that anybody has to hear of.
        await this.#hosts[host]?.supervised.stop();
      }),
    );
    await this.stop();
  }

  /** Ends the threads as they are. */
  async stop(): Promise<void> {
    await Promise.all(this.#hosts.map(({ supervised }) => supervised.stop()));
  }

  #supervise(options: HostOptions, host: number): SupervisedHost {
    const { inline, restart, now, beforeReopen, onLost, random = Math.random } = this.#options;
    const inThisThread = (each: HostOptions): HostLife => inlineLife(each, this.#environment);
    const { launch = inline ? inThisThread : threadLife } = this.#options;
    return new SupervisedHost({
      host: options,
      launch: (each) => launch(each),
      policy: { ...restartPolicyDefault, ...restart },
      now,
      random,
      pause: (ms, signal) => pause(this.#environment, ms, signal),
      receive: (message) => this.#receive(message, host),
      onDown: (error, failure) => this.#down(host, error, failure),
      beforeReopen: async () => {
        // Those that went down with it may have the same environment open.
        await Promise.all(this.#hosts.map(({ supervised }) => supervised.closed()));
        await beforeReopen?.(host);
      },
      onBack: () => void this.#rebuild(host),
      onLost: (error) => onLost?.(host, error),
    });
  }

  #receive(message: FromHost, host: number): void {
    switch (message.type) {
      case "outcomes": {
        const outcomes = unpackOutcomes(message.outcomes);
        this.#answered(host, outcomes.length);
        this.#hosts[host]?.batch.recycle(message.spent);
        return this.#options.onOutcomes(host, outcomes);
      }
      case "partials":
        return this.#hosts[message.host]?.supervised.post({ type: "partials", partials: message.partials });
      case "deltas":
        for (const { topic, frame } of message.deltas) this.#onDelta(topic, frame);
        return;
      case "answer":
        return this.#takeQuestion(message.id)?.resolve(message.answer);
      case "refusal":
        return this.#takeQuestion(message.id)?.reject(errorOf(message.code, message.message));
      default:
        return;
    }
  }

  #answered(host: number, frames: number): void {
    const each = this.#hosts[host];
    if (each === undefined) return;
    each.unanswered -= frames;
    this.#pace.answered();
  }

  #down(host: number, error: WeirError, failure: HostFailure): void {
    const each = this.#hosts[host];
    if (each !== undefined) {
      each.batch = new FrameBatch();
      this.#answered(host, each.unanswered);
    }
    for (const [id, question] of this.#questions) {
      if (question.host === host) this.#takeQuestion(id)?.reject(new WeirError("WEIR_HOST_FAILED"));
    }
    this.#options.onFailed(host, error);
    if (failure.shared !== true) return;
    for (const { supervised } of this.#hosts) supervised.fail({ code: failure.code, message: failure.message });
  }

  /** Gives a host that is back what it missed: definitions, and the other hosts' partials for its metric actors. */
  async #rebuild(host: number): Promise<void> {
    const each = this.#hosts[host];
    if (each === undefined) return;
    const { life } = each.supervised;
    const isOver = (): boolean => each.supervised.life !== life || !each.supervised.takesFrames;
    try {
      for (const [tenant, definitions] of this.#definitions) {
        await this.#ask(host, "define", { tenant, definitions, ingestTimeMs: this.#options.now() });
      }
    } catch (error) {
      // A refused definition was refused before; a host that is down again comes here again.
      if (error instanceof WeirError && !isOver()) each.supervised.fail({ code: error.code, message: error.message });
      return;
    }
    const others = [...this.#hosts.keys()].filter((other) => other !== host);
    await Promise.all(others.map((other) => this.#recollect(other, host, isOver)));
    if (isOver()) return;
    this.#go(each);
    each.channels.reopen(this.#askOpen(host));
    this.#options.onRestarted?.(host);
  }

  /** Until another host has handed on all that the metric actors of one that is back need; it may itself fail meanwhile. */
  async #recollect(other: number, host: number, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#hosts[other]?.supervised.up();
      const handedOn = await this.#ask(other, "recollectFor", { host }).then(
        () => true,
        () => false,
      );
      if (handedOn) return;
    }
  }

  #go(each: HostedHost): void {
    each.supervised.run();
    each.supervised.post({ type: "go" });
    if (this.#isHeard) each.supervised.post({ type: "heard", isHeard: true });
    if (each.stored !== undefined) each.supervised.post({ type: "stored", ...each.stored });
  }

  #tellHeard(): void {
    const isHeard = this.#hosts.some(({ channels }) => channels.count > 0);
    if (isHeard === this.#isHeard) return;
    this.#isHeard = isHeard;
    for (const { supervised } of this.#hosts) supervised.post({ type: "heard", isHeard });
  }

  #askOpen(host: number): AskOpen {
    return (ask, opened, failed) => this.#askThen(host, "open", ask, opened, failed);
  }

  #flush(): void {
    this.#pace.left();
    for (const each of this.#hosts) if (each.batch.frames > 0) sendBatch(each);
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
    const supervised = this.#hosts[host]?.supervised;
    assert(supervised !== undefined, `there is no host ${host}`);
    const answers = supervised.state === "running" || (supervised.takesFrames && !METRIC_QUESTIONS.has(kind));
    if (!answers) return reject(new WeirError("WEIR_HOST_FAILED"));
    const id = ++this.#lastQuestion;
    this.#questions.set(id, { host, resolve: resolve as (answer: unknown) => void, reject });
    supervised.post({ type: "ask", id, kind, ask });
  }

  #takeQuestion(id: number): OpenQuestion | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    return question;
  }
}

function sendBatch(each: HostedHost): void {
  each.unanswered += each.batch.frames;
  const taken = each.batch.take();
  each.supervised.post({ type: "frames", ...taken }, [taken.batch.buffer]);
}

function errorOf(code: string, message: string): WeirError {
  return new WeirError(isErrorCode(code) ? code : "WEIR_INTERNAL", message);
}

/** Resolves after the time or when the signal aborts. */
function pause(environment: HostEnvironment, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const over = (): void => {
      cancel();
      signal.removeEventListener("abort", over);
      resolve();
    };
    const cancel = environment.after(ms, over);
    signal.addEventListener("abort", over);
  });
}
