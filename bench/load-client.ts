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
  readonly code?: string;
  readonly message?: string;
}

/** One socket and the planned times of its frames that are not acknowledged yet, by `seq`. */
class Connection {
  readonly #socket: WebSocket;
  readonly #decode: (data: Buffer) => Ack;
  readonly #onAck: (latencyMs: number, ack: Ack) => void;
  readonly #onFailure: (cause: Error) => void;
  readonly #plannedMs = new Map<number, number>();

  constructor(socket: WebSocket, codec: Codec, onAck: (latencyMs: number, ack: Ack) => void, onFailure: (cause: Error) => void) {
    this.#socket = socket;
    this.#decode = codec === "json" ? (data) => JSON.parse(data.toString()) as Ack : (data) => mapPackr.unpack(data) as Ack;
    this.#onAck = onAck;
    this.#onFailure = onFailure;
    socket.on("message", (data: Buffer) => this.#receive(data));
    socket.on("error", onFailure);
    socket.on("close", (code) => onFailure(new Error(`the server closed the connection: ${code}`)));
  }

  get inFlight(): number {
    return this.#plannedMs.size;
  }

  send(seq: number, frame: Buffer, plannedMs: number, isText: boolean): void {
    this.#plannedMs.set(seq, plannedMs);
    this.#socket.send(frame, { binary: !isText });
  }

  #receive(data: Buffer): void {
    const ack = this.#decode(data);
    if (ack.t === "credit") return;
    if (ack.t !== "ack") return this.#onFailure(new Error(`the server answered ${ack.code ?? ack.t}: ${ack.message ?? ""}`));
    const seq = ack.seq ?? -1;
    const plannedMs = this.#plannedMs.get(seq);
    if (plannedMs === undefined) return this.#onFailure(new Error(`an ack without a frame: ${seq}`));
    this.#plannedMs.delete(seq);
    this.#onAck(performance.now() - plannedMs, ack);
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
      const connection: Connection = new Connection(
        socket,
        this.#codec,
        (latencyMs, ack) => this.#run?.acked(connection, latencyMs, ack),
        (cause) => this.#run?.fail(cause),
      );
      return connection;
    });
  }

  async run(frames: number, mode: RunMode): Promise<RunFigures> {
    const run = new Run(frames, mode, this.#connections, (connection, plannedMs) => {
      const template = this.#templates[this.#nextFrame % this.#templates.length];
      if (template === undefined) throw new Error("no templates");
      const frame = stampFrame(template, this.#nextFrame, this.#workload);
      connection.send(SEQ_BASE + this.#nextFrame, frame, plannedMs, template.isText);
      this.#nextFrame++;
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
  readonly #sendNext: (connection: Connection, plannedMs: number) => void;
  readonly #latencies: Float64Array;
  #sent = 0;
  #acked = 0;
  #successfulEvents = 0;
  #failedEvents = 0;
  #resolve: () => void = () => undefined;
  #reject: (cause: Error) => void = () => undefined;

  constructor(
    frames: number,
    mode: RunMode,
    connections: readonly Connection[],
    sendNext: (to: Connection, plannedMs: number) => void,
  ) {
    this.#frames = frames;
    this.#mode = mode;
    this.#connections = connections;
    this.#sendNext = sendNext;
    this.#latencies = new Float64Array(frames);
  }

  async done(): Promise<Omit<RunFigures, "clientCpuUs">> {
    const startMs = performance.now();
    const finished = new Promise<void>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (this.#mode.kind === "closed") this.#fillAll(this.#mode.inFlight);
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
    else if (this.#mode.kind === "closed" && this.#sent < this.#frames) this.#send(connection, performance.now());
  }

  fail(cause: Error): void {
    this.#reject(cause);
  }

  #fillAll(inFlight: number): void {
    for (let round = 0; round < inFlight; round++) {
      for (const connection of this.#connections) if (this.#sent < this.#frames) this.#send(connection, performance.now());
    }
  }

  /** Sends all frames that are due, then sleeps a millisecond. Frames beyond a connection's credit wait; their clock runs. */
  #sendPlanned(startMs: number, framesPerSecond: number): void {
    while (this.#sent < this.#frames) {
      const plannedMs = startMs + (this.#sent * 1_000) / framesPerSecond;
      const connection = this.#leastBusy();
      if (plannedMs > performance.now() || connection.inFlight >= CREDIT_FRAMES) {
        setTimeout(() => this.#sendPlanned(startMs, framesPerSecond), 1);
        return;
      }
      this.#send(connection, plannedMs);
    }
  }

  #leastBusy(): Connection {
    return this.#connections.reduce((least, each) => (each.inFlight < least.inFlight ? each : least));
  }

  #send(connection: Connection, plannedMs: number): void {
    this.#sent++;
    this.#sendNext(connection, plannedMs);
  }
}

/** The credit of a connection in docs/protocol.md. */
const CREDIT_FRAMES = 64;

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
