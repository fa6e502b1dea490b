/**
 * The load generator: a process of its own that sends frames over real WebSockets and times their acks.
 * Closed loop: every connection keeps `inFlight` frames unacknowledged. Open loop: frames leave at a fixed rate whatever the
 * server does, and a latency counts from the planned time of sending, so that a stalled server cannot hide its stalls
 * (coordinated omission; Gil Tene). Driven by messages of its parent: see `load-driver.ts`.
 */
import { Packr } from "msgpackr";
import { performance } from "node:perf_hooks";
import { encodePublish } from "../protocol/frames.ts";
import { encodeTemplates, SEQ_BASE, stampFrame, type EncodedTemplate, type FrameEncoder } from "./frame-template.ts";
import { readNaiveAnswer, readWeirAnswer, type Answer, type AnswerReader } from "./load-ack.ts";
import type { ClientCommand, ClientReply, Codec, LoadTarget, RunFigures, RunMode } from "./load-driver.ts";
import { clientFrameHead, LoadSocket } from "./load-socket.ts";
import { quantileOf } from "./statistics.ts";
import { shareConnections, WorkloadPlan } from "./workload-plan.ts";
import { primerEvents, type WorkloadParameters } from "./workload.ts";

/** The credit of a new connection in docs/protocol.md. */
const CREDIT_FRAMES = 8;
const RESEND_AFTER_MS = 50;

/** Sends this frame of the run. */
type SendFrame = (to: Connection, plannedMs: number, frame: number) => void;

const mapPackr = new Packr({ useRecords: false });

function encoderOf(codec: Codec): FrameEncoder {
  switch (codec) {
    case "records":
      return encodePublish;
    case "maps":
      return (seq, events) => mapPackr.pack({ t: "pub", seq, events });
    case "json":
      return (seq, events) => Buffer.from(JSON.stringify({ t: "pub", seq, events }));
  }
}

interface ConnectionEvents {
  acked(latencyMs: number, ack: Answer): void;
  /** The connection may send more. */
  credited(): void;
  /** Nothing of the frame counts; it is to be sent again. */
  refused(seq: number, plannedMs: number): void;
  failed(cause: Error): void;
}

/** One socket of a tenant, its credit, and the planned times of its frames that are not acknowledged yet, by `seq`. */
class Connection {
  readonly tenant: number;
  readonly #read: AnswerReader;
  readonly #plannedMs = new Map<number, number>();
  #socket: LoadSocket | undefined;
  #events: ConnectionEvents | undefined;
  /** Frames that it may send now (docs/protocol.md); the naive server knows no credit. */
  credit: number;

  constructor(tenant: number, codec: Codec) {
    this.tenant = tenant;
    this.credit = codec === "json" ? Number.POSITIVE_INFINITY : CREDIT_FRAMES;
    this.#read = codec === "json" ? readNaiveAnswer : readWeirAnswer;
  }

  async open({ url, key, keys }: LoadTarget): Promise<void> {
    this.#socket = await LoadSocket.open(url, keys?.[this.tenant] ?? key, {
      message: (bytes, from, to) => this.#receive(bytes, from, to),
      ended: (cause) => this.#events?.failed(cause),
    });
  }

  listen(events: ConnectionEvents): void {
    this.#events = events;
  }

  get inFlight(): number {
    return this.#plannedMs.size;
  }

  /** True: the buffer may be used again. */
  send(seq: number, framed: Buffer, plannedMs: number): boolean {
    this.credit--;
    this.#plannedMs.set(seq, plannedMs);
    return this.#socket?.send(framed) ?? true;
  }

  #receive(bytes: Buffer, from: number, to: number): void {
    const answer = this.#read(bytes, from, to);
    if (answer.kind === "credit") {
      this.credit += answer.credit;
      return this.#events?.credited();
    }
    if (answer.kind === "failed") return this.#events?.failed(new Error(`the server answered ${answer.reason}`));
    const { seq } = answer;
    const plannedMs = this.#plannedMs.get(seq);
    if (plannedMs === undefined) return this.#events?.failed(new Error(`an answer without a frame: ${seq}`));
    this.#plannedMs.delete(seq);
    if (answer.kind === "refused") return this.#events?.refused(seq, plannedMs);
    this.credit += answer.credit;
    this.#events?.acked(performance.now() - plannedMs, answer);
  }
}

/** Sends the run's frames, each tenant's in order, over the tenant's connections. */
class LoadClient {
  readonly #templates: readonly EncodedTemplate[];
  readonly #workload: WorkloadParameters;
  readonly #plan: WorkloadPlan;
  readonly #codec: Codec;
  #connections: readonly Connection[] = [];
  #framesSent = 0;
  #run: Run | undefined;

  constructor(workload: WorkloadParameters, codec: Codec) {
    this.#workload = workload;
    this.#codec = codec;
    this.#plan = new WorkloadPlan(workload);
    this.#templates = encodeTemplates(workload, encoderOf(codec), clientFrameHead);
  }

  get frameBytes(): number {
    return this.#templates.reduce((sum, { bytes }) => sum + bytes.length, 0) / this.#templates.length;
  }

  async connect(target: LoadTarget): Promise<void> {
    const { tenants } = this.#workload;
    const keys = target.keys?.length ?? 1;
    if (keys !== tenants) throw new Error(`the workload has ${tenants} tenants, the target ${keys} keys`);
    this.#connections = shareConnections(target.connections, tenants).flatMap((count, tenant) =>
      Array.from({ length: count }, () => new Connection(tenant, this.#codec)),
    );
    await Promise.all(this.#connections.map((connection) => connection.open(target)));
    await Promise.all(Array.from({ length: tenants }, (_, tenant) => this.#prime(tenant)));
    for (const connection of this.#connections) {
      connection.listen({
        acked: (latencyMs, ack) => this.#run?.acked(connection, latencyMs, ack),
        credited: () => this.#run?.fill(connection),
        refused: (seq, plannedMs) => this.#run?.refused(connection, seq, plannedMs),
        failed: (cause) => this.#run?.fail(cause),
      });
    }
  }

  /** See `primerEvents`. Resolves when the frame is acknowledged. */
  async #prime(tenant: number): Promise<void> {
    const events = primerEvents(this.#workload, tenant);
    const connection = this.#connections.find((each) => each.tenant === tenant);
    if (events.length === 0 || connection === undefined) return;
    const seq = SEQ_BASE - 1;
    const frame = encoderOf(this.#codec)(seq, events);
    const acked = new Promise<void>((resolve, reject) => {
      const failed = (): void => reject(new Error("the first frame was not taken"));
      connection.listen({
        acked: (_latency, { totalEvents, duplicates, late, invalid }) =>
          totalEvents === events.length && duplicates + late + invalid === 0 ? resolve() : failed(),
        credited: () => undefined,
        refused: failed,
        failed: reject,
      });
    });
    const isText = this.#codec === "json";
    connection.send(seq, Buffer.concat([clientFrameHead(frame.length, isText), frame]), performance.now());
    await acked;
  }

  async run(frames: number, mode: RunMode): Promise<RunFigures> {
    const from = this.#framesSent;
    this.#framesSent += frames;
    const tenants = Array.from({ length: this.#workload.tenants }, (_, tenant) => {
      const first = this.#plan.framesOf(tenant, from);
      const end = this.#plan.framesOf(tenant, this.#framesSent);
      const connections = this.#connections.filter((each) => each.tenant === tenant);
      return { connections, next: first, end, frameOf: (ordinal: number) => this.#plan.frameOf(tenant, ordinal) };
    });
    const run = new Run(from, frames, mode, tenants, (to, plannedMs, frame) => this.#sendFrame(to, plannedMs, frame));
    this.#run = run;
    const cpuBefore = process.cpuUsage();
    const figures = await run.done();
    const cpu = process.cpuUsage(cpuBefore);
    this.#run = undefined;
    return { ...figures, clientCpuUs: cpu.user + cpu.system };
  }

  #sendFrame(to: Connection, plannedMs: number, frame: number): void {
    const template = this.#templates[frame % this.#templates.length];
    if (template === undefined) throw new Error("no templates");
    stampFrame(template, frame);
    const isReusable = to.send(SEQ_BASE + frame, template.bytes, plannedMs);
    if (!isReusable) template.bytes = Buffer.from(template.bytes);
  }
}

/** A tenant's part of a run: its frames by their ordinals, and what they go over. */
interface TenantShare {
  readonly connections: readonly Connection[];
  next: number;
  readonly end: number;
  frameOf(ordinal: number): number;
}

class Run {
  readonly #firstFrame: number;
  readonly #frames: number;
  readonly #mode: RunMode;
  readonly #tenants: readonly TenantShare[];
  readonly #sendFrame: SendFrame;
  readonly #latencies: Float64Array;
  #acked = 0;
  #refused = 0;
  #events = 0;
  #duplicates = 0;
  #late = 0;
  #invalid = 0;
  #resolve: () => void = () => undefined;
  #reject: (cause: Error) => void = () => undefined;

  constructor(firstFrame: number, frames: number, mode: RunMode, tenants: readonly TenantShare[], sendFrame: SendFrame) {
    this.#firstFrame = firstFrame;
    this.#frames = frames;
    this.#mode = mode;
    this.#tenants = tenants;
    this.#sendFrame = sendFrame;
    this.#latencies = new Float64Array(frames);
  }

  async done(): Promise<Omit<RunFigures, "clientCpuUs">> {
    const startMs = performance.now();
    const finished = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    for (const tenant of this.#tenants) {
      if (this.#mode.kind === "open") this.#sendPlanned(tenant, startMs, this.#mode.framesPerSecond);
      else for (const connection of tenant.connections) this.fill(connection);
    }
    await finished;
    const durationMs = performance.now() - startMs;
    this.#latencies.sort();
    const failedEvents = this.#late + this.#invalid;
    return {
      frames: this.#frames,
      startedAtMs: performance.timeOrigin + startMs,
      durationMs,
      successfulEvents: this.#events - failedEvents,
      failedEvents,
      verdicts: {
        accepted: this.#events - failedEvents - this.#duplicates,
        duplicate: this.#duplicates,
        late: this.#late,
        invalid: this.#invalid,
      },
      refusedFrames: this.#refused,
      ackP50Ms: quantileOf(this.#latencies, 0.5),
      ackP99Ms: quantileOf(this.#latencies, 0.99),
      ackMaxMs: quantileOf(this.#latencies, 1),
    };
  }

  acked(connection: Connection, latencyMs: number, { totalEvents, duplicates, late, invalid }: Answer): void {
    this.#latencies[this.#acked++] = latencyMs;
    this.#events += totalEvents;
    this.#duplicates += duplicates;
    this.#late += late;
    this.#invalid += invalid;
    if (this.#acked === this.#frames) this.#resolve();
    else this.fill(connection);
  }

  /** Closed loop: sends what the connection's credit and the mode allow. */
  fill(connection: Connection): void {
    if (this.#mode.kind !== "closed") return;
    const tenant = this.#tenants[connection.tenant];
    if (tenant === undefined) return;
    while (tenant.next < tenant.end && connection.credit > 0 && connection.inFlight < this.#mode.inFlight)
      this.#sendFrame(connection, performance.now(), tenant.frameOf(tenant.next++));
  }

  refused(connection: Connection, seq: number, plannedMs: number): void {
    this.#refused++;
    setTimeout(() => {
      // The credit that it went out with is its own still.
      connection.credit++;
      this.#sendFrame(connection, plannedMs, seq - SEQ_BASE);
    }, RESEND_AFTER_MS);
  }

  fail(cause: Error): void {
    this.#reject(cause);
  }

  /**
   * Sends all frames of a tenant that are due, then sleeps a millisecond. The run's frames are due one after the other, at equal
   * distances. Those beyond a connection's credit wait; their clock runs.
   */
  #sendPlanned(tenant: TenantShare, startMs: number, framesPerSecond: number): void {
    while (tenant.next < tenant.end) {
      const frame = tenant.frameOf(tenant.next);
      const plannedMs = startMs + ((frame - this.#firstFrame) * 1_000) / framesPerSecond;
      const connection = leastBusy(tenant.connections);
      if (connection === undefined || plannedMs > performance.now()) {
        setTimeout(() => this.#sendPlanned(tenant, startMs, framesPerSecond), 1);
        return;
      }
      tenant.next++;
      this.#sendFrame(connection, plannedMs, frame);
    }
  }
}

/** Of those that have credit. */
function leastBusy(connections: readonly Connection[]): Connection | undefined {
  let least: Connection | undefined;
  for (const each of connections) {
    if (each.credit > 0 && (least === undefined || each.inFlight < least.inFlight)) least = each;
  }
  return least;
}

let client: LoadClient | undefined;

async function obey(command: ClientCommand): Promise<ClientReply> {
  switch (command.kind) {
    case "prepare":
      client = new LoadClient(command.workload, command.target.codec);
      await client.connect(command.target);
      return { kind: "prepared", frameBytes: client.frameBytes };
    case "run":
      if (client === undefined) throw new Error("run before prepare");
      return { kind: "ran", figures: await client.run(command.frames, command.mode) };
  }
}

// The parent's end is the end of this process.
process.on("disconnect", () => process.exit(0));
process.on("message", (command: ClientCommand) => {
  void obey(command)
    .catch((cause: unknown): ClientReply => ({ kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) }))
    .then((reply) => process.connected && process.send?.(reply));
});
