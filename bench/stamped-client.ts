/** A process that sends stamped frames over real WebSockets. Driven by messages of its parent: see `stamped-driver.ts`. */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { decodeServerFrame } from "../protocol/frames.ts";
import { SEQ_BASE } from "./frame-template.ts";
import { profiles } from "./frame-profiles.ts";
import type { StampedCommand, StampedFigures, StampedReply, StampedRun, StampedTarget } from "./stamped-driver.ts";
import { StampedFrames } from "./stamped-frames.ts";
import { quantileOf } from "./statistics.ts";

/** The credit of a new connection in docs/protocol.md. */
const CREDIT_FRAMES = 8;
const RESEND_AFTER_MS = 20;
const CONNECTING_MAX = 100;

interface Sender {
  readonly socket: WebSocket;
  credit: number;
  inFlight: number;
  /** Called after each ack. */
  onAck?: () => void;
}

class StampedClient {
  readonly #target: StampedTarget;
  readonly #frames: StampedFrames;
  readonly #senders: Sender[] = [];
  /** Planned times of frames that are not acknowledged yet. */
  readonly #plannedMs = new Map<number, number>();
  #latencies: number[] = [];
  #nextFrame = 0;
  #acked = 0;
  #successfulEvents = 0;
  #connected = 0;
  #failure: Error | undefined;
  #onFailure: (cause: Error) => void = () => undefined;
  /** Called after each ack and each credit. */
  #onRoom: (sender: Sender) => void = () => undefined;

  constructor(target: StampedTarget) {
    this.#target = target;
    this.#frames = new StampedFrames(profiles[target.profile](target.parameters));
  }

  async connect(): Promise<void> {
    for (let left = this.#target.connections; left > 0; left -= CONNECTING_MAX) {
      const some = Math.min(left, CONNECTING_MAX);
      this.#senders.push(...(await Promise.all(Array.from({ length: some }, () => this.#open()))));
    }
  }

  async run(run: StampedRun): Promise<StampedFigures> {
    const cpuBefore = process.cpuUsage();
    const before = { frame: this.#nextFrame, successful: this.#successfulEvents, connected: this.#connected };
    this.#latencies = [];
    const startedMs = performance.now();
    const failed = new Promise<never>((_resolve, reject) => (this.#onFailure = reject));
    await Promise.race([this.#send(run, startedMs), failed]);
    const durationMs = performance.now() - startedMs;
    const cpu = process.cpuUsage(cpuBefore);
    const frames = this.#nextFrame - before.frame;
    const latencies = Float64Array.from(this.#latencies).sort();
    return {
      frames,
      events: frames * this.#frames.batch,
      successfulEvents: this.#successfulEvents - before.successful,
      connected: this.#connected - before.connected,
      durationMs,
      ackP50Ms: quantileOf(latencies, 0.5),
      ackP99Ms: quantileOf(latencies, 0.99),
      clientCpuUs: cpu.user + cpu.system,
    };
  }

  async #send(run: StampedRun, startedMs: number): Promise<void> {
    if (run.kind === "frames") await this.#sendFrames(run.frames, run.inFlight);
    else if (run.kind === "paced") await this.#sendPaced(run.seconds * 1_000, run.framesPerSecond);
    else await Promise.all(this.#senders.map((_, index) => this.#storm(index, startedMs + run.seconds * 1_000)));
    while (this.#acked < this.#nextFrame) await this.#pause();
  }

  #fail(cause: Error): void {
    this.#failure ??= cause;
    this.#onFailure(cause);
  }

  #open(): Promise<Sender> {
    const headers = { authorization: `Bearer ${this.#target.key}` };
    const socket = new WebSocket(this.#target.url, { perMessageDeflate: false, headers, generateMask: (mask) => mask.fill(0) });
    const sender: Sender = { socket, credit: CREDIT_FRAMES, inFlight: 0 };
    socket.on("message", (data: Buffer) => this.#receive(sender, data));
    this.#connected++;
    return new Promise((resolve, reject) => {
      socket.on("error", (cause) => {
        this.#fail(cause);
        reject(cause);
      });
      socket.on("close", (code) => {
        if (sender.inFlight > 0) this.#fail(new Error(`the server closed a connection: ${code}`));
      });
      socket.once("open", () => resolve(sender));
    });
  }

  #sendFrame(sender: Sender, plannedMs: number, frame = this.#nextFrame++): void {
    sender.credit--;
    sender.inFlight++;
    this.#plannedMs.set(frame, plannedMs);
    sender.socket.send(this.#frames.frame(frame), { binary: true });
  }

  #receive(sender: Sender, data: Buffer): void {
    const answer = decodeServerFrame(data);
    if (answer.t === "credit") sender.credit += answer.credit;
    else if (answer.t === "ack") {
      const frame = answer.seq - SEQ_BASE;
      this.#latencies.push(performance.now() - (this.#plannedMs.get(frame) ?? Number.NaN));
      this.#plannedMs.delete(frame);
      sender.inFlight--;
      sender.credit += answer.credit;
      this.#acked++;
      this.#successfulEvents += answer.successfulEvents;
      sender.onAck?.();
    } else if (answer.t === "error" && answer.retryable && answer.seq !== undefined) {
      return this.#resend(sender, answer.seq - SEQ_BASE);
    } else if (answer.t === "error") this.#fail(new Error(`the server answered ${answer.code}: ${answer.message}`));
    this.#onRoom(sender);
  }

  #resend(sender: Sender, frame: number): void {
    setTimeout(() => {
      // The credit that it went out with is its own still.
      sender.credit++;
      sender.inFlight--;
      this.#sendFrame(sender, this.#plannedMs.get(frame) ?? performance.now(), frame);
    }, RESEND_AFTER_MS);
  }

  async #sendFrames(frames: number, inFlight: number): Promise<void> {
    const end = this.#nextFrame + frames;
    this.#onRoom = (sender) => {
      while (this.#nextFrame < end && sender.credit > 0 && sender.inFlight < inFlight) this.#sendFrame(sender, performance.now());
    };
    for (const sender of this.#senders) this.#onRoom(sender);
    while (this.#nextFrame < end) await this.#pause();
    this.#onRoom = () => undefined;
  }

  async #sendPaced(lengthMs: number, framesPerSecond: number): Promise<void> {
    const startMs = performance.now();
    const total = Math.floor((lengthMs * framesPerSecond) / 1_000);
    let turn = 0;
    for (let sent = 0; sent < total && performance.now() < startMs + lengthMs;) {
      const plannedMs = startMs + (sent * 1_000) / framesPerSecond;
      const sender = plannedMs > performance.now() ? undefined : this.#withCredit(turn++);
      if (sender === undefined) await this.#pause();
      else {
        this.#sendFrame(sender, plannedMs);
        sent++;
      }
    }
  }

  #withCredit(turn: number): Sender | undefined {
    for (let tried = 0; tried < this.#senders.length; tried++) {
      const sender = this.#senders[(turn + tried) % this.#senders.length];
      if (sender !== undefined && sender.credit > 0) return sender;
    }
    return undefined;
  }

  /** One place in the storm. */
  async #storm(index: number, endMs: number): Promise<void> {
    let sender = this.#senders[index];
    while (performance.now() < endMs) {
      const current = (sender ??= await this.#open());
      await new Promise<void>((resolve) => {
        current.onAck = resolve;
        this.#sendFrame(current, performance.now());
      });
      current.socket.terminate();
      sender = undefined;
    }
  }

  async #pause(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await sleep(1);
  }
}

let client: StampedClient | undefined;

async function obey(command: StampedCommand): Promise<StampedReply> {
  if (command.kind === "prepare") {
    client = new StampedClient(command.target);
    await client.connect();
    return { kind: "prepared" };
  }
  if (client === undefined) throw new Error("run before prepare");
  return { kind: "ran", figures: await client.run(command.run) };
}

// The parent's end is the end of this process.
process.on("disconnect", () => process.exit(0));
process.on("message", (command: StampedCommand) => {
  void obey(command)
    .catch((cause: unknown): StampedReply => ({ kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) }))
    .then((reply) => process.connected && process.send?.(reply));
});
