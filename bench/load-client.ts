/**
 * The load generator: a process of its own that sends frames over real WebSockets and times their acks.
 * Closed loop: every connection keeps `inFlight` frames unacknowledged. Open loop: frames leave at a fixed rate whatever the
 * server does, and a latency counts from the planned time of sending, so that a stalled server cannot hide its stalls
 * (coordinated omission; Gil Tene). Driven by messages of its parent: see `load-driver.ts`.
 */
import { Packr } from "msgpackr";
import { performance } from "node:perf_hooks";
import { WebSocket } from "ws";
import { encodePublish } from "../protocol/frames.ts";
import { encodeTemplate, SEQ_BASE, stampFrame, type EncodedTemplate, type FrameEncoder } from "./frame-template.ts";
import type { ClientCommand, ClientReply, Codec, LoadTarget, RunFigures, RunMode } from "./load-driver.ts";
import { quantileOf } from "./statistics.ts";
import { generateTemplates, type WorkloadParameters } from "./workload.ts";

/** The credit of a new connection in docs/protocol.md. */
const CREDIT_FRAMES = 8;
const RESEND_AFTER_MS = 50;

/** Sends the next frame of the workload, or the one of this `seq` again. */
type SendFrame = (to: Connection, plannedMs: number, seq?: number) => void;

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

interface Ack {
  readonly t: string;
  readonly seq?: number;
  readonly totalEvents?: number;
  readonly successfulEvents?: number;
  readonly credit?: number;
  readonly retryable?: boolean;
  readonly code?: string;
  readonly message?: string;
}

interface ConnectionEvents {
  acked(latencyMs: number, ack: Ack): void;
  /** The connection may send more. */
  credited(): void;
  /** Nothing of the frame counts; it is to be sent again. */
  refused(seq: number, plannedMs: number): void;
  failed(cause: Error): void;
}

/** One socket, its credit, and the planned times of its frames that are not acknowledged yet, by `seq`. */
class Connection {
  readonly #socket: WebSocket;
  readonly #decode: (data: Buffer) => Ack;
  readonly #events: ConnectionEvents;
  readonly #plannedMs = new Map<number, number>();
  /** Frames that it may send now (docs/protocol.md); the naive server knows no credit. */
  credit: number;

  constructor(socket: WebSocket, codec: Codec, events: ConnectionEvents) {
    this.#socket = socket;
    this.credit = codec === "json" ? Number.POSITIVE_INFINITY : CREDIT_FRAMES;
    this.#decode = codec === "json" ? (data) => JSON.parse(data.toString()) as Ack : (data) => mapPackr.unpack(data) as Ack;
    this.#events = events;
    socket.on("message", (data: Buffer) => this.#receive(data));
    socket.on("error", (cause) => events.failed(cause));
    socket.on("close", (code) => events.failed(new Error(`the server closed the connection: ${code}`)));
  }

  get inFlight(): number {
    return this.#plannedMs.size;
  }

  send(seq: number, frame: Buffer, plannedMs: number, isText: boolean): void {
    this.credit--;
    this.#plannedMs.set(seq, plannedMs);
    this.#socket.send(frame, { binary: !isText });
  }

  #receive(data: Buffer): void {
    const ack = this.#decode(data);
    if (ack.t === "credit") {
      this.credit += ack.credit ?? 0;
      return this.#events.credited();
    }
    const isRefusal = ack.t === "error" && ack.retryable === true;
    if (ack.t !== "ack" && !isRefusal)
      return this.#events.failed(new Error(`the server answered ${ack.code ?? ack.t}: ${ack.message ?? ""}`));
    const seq = ack.seq ?? -1;
    const plannedMs = this.#plannedMs.get(seq);
    if (plannedMs === undefined) return this.#events.failed(new Error(`an answer without a frame: ${seq}`));
    this.#plannedMs.delete(seq);
    if (isRefusal) return this.#events.refused(seq, plannedMs);
    this.credit += ack.credit ?? 1;
    this.#events.acked(performance.now() - plannedMs, ack);
  }
}

/** Sends the run's frames in order, from frame `nextFrame` on, over all connections. */
class LoadClient {
  readonly #templates: readonly EncodedTemplate[];
  readonly #workload: WorkloadParameters;
  readonly #codec: Codec;
  #connections: readonly Connection[] = [];
  #nextFrame = 0;
  #run: Run | undefined;

  constructor(workload: WorkloadParameters, codec: Codec) {
    this.#workload = workload;
    this.#codec = codec;
    const encode = encoderOf(codec);
    this.#templates = generateTemplates(workload).map((events) => encodeTemplate(events, encode));
  }

  get frameBytes(): number {
    return this.#templates.reduce((sum, { bytes }) => sum + bytes.length, 0) / this.#templates.length;
  }

  async connect(target: LoadTarget): Promise<void> {
    const opening = Array.from({ length: target.connections }, () => openSocket(target));
    const sockets = await Promise.all(opening);
    this.#connections = sockets.map((socket) => {
      const connection: Connection = new Connection(socket, this.#codec, {
        acked: (latencyMs, ack) => this.#run?.acked(connection, latencyMs, ack),
        credited: () => this.#run?.fill(connection),
        refused: (seq, plannedMs) => this.#run?.refused(connection, seq, plannedMs),
        failed: (cause) => this.#run?.fail(cause),
      });
      return connection;
    });
  }

  async run(frames: number, mode: RunMode): Promise<RunFigures> {
    const run = new Run(frames, mode, this.#connections, (connection, plannedMs, seq = SEQ_BASE + this.#nextFrame++) => {
      const index = seq - SEQ_BASE;
      const template = this.#templates[index % this.#templates.length];
      if (template === undefined) throw new Error("no templates");
      connection.send(seq, stampFrame(template, index, this.#workload), plannedMs, template.isText);
    });
    this.#run = run;
    const cpuBefore = process.cpuUsage();
    const figures = await run.done();
    const cpu = process.cpuUsage(cpuBefore);
    this.#run = undefined;
    return { ...figures, clientCpuUs: cpu.user + cpu.system };
  }
}

function openSocket({ url, key }: LoadTarget): Promise<WebSocket> {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
    // A mask of zeros is as valid as another and saves the generator, not the server, the work of masking.
    generateMask: (mask) => mask.fill(0),
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

class Run {
  readonly #frames: number;
  readonly #mode: RunMode;
  readonly #connections: readonly Connection[];
  readonly #sendFrame: SendFrame;
  readonly #latencies: Float64Array;
  #sent = 0;
  #acked = 0;
  #refused = 0;
  #successfulEvents = 0;
  #failedEvents = 0;
  #resolve: () => void = () => undefined;
  #reject: (cause: Error) => void = () => undefined;

  constructor(frames: number, mode: RunMode, connections: readonly Connection[], sendFrame: SendFrame) {
    this.#frames = frames;
    this.#mode = mode;
    this.#connections = connections;
    this.#sendFrame = sendFrame;
    this.#latencies = new Float64Array(frames);
  }

  async done(): Promise<Omit<RunFigures, "clientCpuUs">> {
    const startMs = performance.now();
    const finished = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (this.#mode.kind === "closed") for (const connection of this.#connections) this.fill(connection);
    else this.#sendPlanned(startMs, this.#mode.framesPerSecond);
    await finished;
    const durationMs = performance.now() - startMs;
    this.#latencies.sort();
    return {
      frames: this.#frames,
      startedAtMs: performance.timeOrigin + startMs,
      durationMs,
      successfulEvents: this.#successfulEvents,
      failedEvents: this.#failedEvents,
      refusedFrames: this.#refused,
      ackP50Ms: quantileOf(this.#latencies, 0.5),
      ackP99Ms: quantileOf(this.#latencies, 0.99),
      ackMaxMs: quantileOf(this.#latencies, 1),
    };
  }

  acked(connection: Connection, latencyMs: number, ack: Ack): void {
    this.#latencies[this.#acked++] = latencyMs;
    this.#successfulEvents += ack.successfulEvents ?? 0;
    this.#failedEvents += (ack.totalEvents ?? 0) - (ack.successfulEvents ?? 0);
    if (this.#acked === this.#frames) this.#resolve();
    else this.fill(connection);
  }

  /** Closed loop: sends what the connection's credit and the mode allow. */
  fill(connection: Connection): void {
    if (this.#mode.kind !== "closed") return;
    while (this.#sent < this.#frames && connection.credit > 0 && connection.inFlight < this.#mode.inFlight)
      this.#send(connection, performance.now());
  }

  refused(connection: Connection, seq: number, plannedMs: number): void {
    this.#refused++;
    setTimeout(() => {
      // The credit that it went out with is its own still.
      connection.credit++;
      this.#sendFrame(connection, plannedMs, seq);
    }, RESEND_AFTER_MS);
  }

  fail(cause: Error): void {
    this.#reject(cause);
  }

  /** Sends all frames that are due, then sleeps a millisecond. Frames beyond a connection's credit wait; their clock runs. */
  #sendPlanned(startMs: number, framesPerSecond: number): void {
    while (this.#sent < this.#frames) {
      const plannedMs = startMs + (this.#sent * 1_000) / framesPerSecond;
      const connection = this.#leastBusy();
      if (connection === undefined || plannedMs > performance.now()) {
        setTimeout(() => this.#sendPlanned(startMs, framesPerSecond), 1);
        return;
      }
      this.#send(connection, plannedMs);
    }
  }

  /** Of those that have credit. */
  #leastBusy(): Connection | undefined {
    let least: Connection | undefined;
    for (const each of this.#connections) {
      if (each.credit > 0 && (least === undefined || each.inFlight < least.inFlight)) least = each;
    }
    return least;
  }

  #send(connection: Connection, plannedMs: number): void {
    this.#sent++;
    this.#sendFrame(connection, plannedMs);
  }
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
