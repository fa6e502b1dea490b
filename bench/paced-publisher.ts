/**
 * One connection that sends frames of the workload at a fixed rate and says of each when it was to be sent and when its ack came:
 * for benches that follow single frames. Those that only want quantiles use the load client, a process of its own.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { decodeServerFrame, encodePublish } from "../protocol/frames.ts";
import { encodeTemplates, SEQ_BASE, stampFrame, type EncodedTemplate } from "./frame-template.ts";
import type { WorkloadParameters } from "./workload.ts";

export interface PacedRun {
  /** Epoch milliseconds, by frame. */
  readonly plannedMs: number[];
  readonly ackedMs: number[];
  readonly durationMs: number;
}

const CREDIT_AT_START = 8;

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export class PacedPublisher {
  readonly #socket: WebSocket;
  readonly #templates: readonly EncodedTemplate[];
  readonly #ackedMs: number[] = [];
  #sent = 0;
  #acked = 0;
  #credit = CREDIT_AT_START;
  #failure: Error | undefined;

  private constructor(socket: WebSocket, workload: WorkloadParameters) {
    this.#socket = socket;
    this.#templates = encodeTemplates(workload, encodePublish);
    socket.on("message", (data: Buffer) => this.#receive(data));
    socket.on("error", (cause) => (this.#failure ??= cause));
    socket.on("close", (code) => (this.#failure ??= new Error(`the server closed the publisher: ${code}`)));
  }

  static async connect(url: string, key: string, workload: WorkloadParameters): Promise<PacedPublisher> {
    const headers = { authorization: `Bearer ${key}` };
    const socket = new WebSocket(url, { perMessageDeflate: false, headers, generateMask: (mask) => mask.fill(0) });
    const publisher = new PacedPublisher(socket, workload);
    while (socket.readyState === WebSocket.CONNECTING) await sleep(1);
    publisher.#check();
    return publisher;
  }

  /** Sent so far, over all runs. */
  get frames(): number {
    return this.#sent;
  }

  /** Sends the next `frames` frames; resolves when the last one is acknowledged. */
  async run(frames: number, framesPerSecond: number): Promise<PacedRun> {
    const first = this.#sent;
    const startMs = nowMs();
    const plannedMs = Array.from({ length: frames }, (_, frame) => startMs + (frame * 1_000) / framesPerSecond);
    while (this.#acked < first + frames) {
      this.#check();
      while (this.#sent < first + frames && this.#credit > 0 && (plannedMs[this.#sent - first] ?? 0) <= nowMs()) this.#send();
      await sleep(1);
    }
    return { plannedMs, ackedMs: this.#ackedMs.slice(first), durationMs: nowMs() - startMs };
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.terminate();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #send(): void {
    const template = this.#templates[this.#sent % this.#templates.length];
    if (template === undefined) throw new Error("no templates");
    this.#credit--;
    stampFrame(template, this.#sent++);
    // A copy: the socket may hold it for longer than until this template comes again.
    this.#socket.send(Buffer.from(template.bytes), { binary: true });
  }

  #receive(data: Buffer): void {
    const frame = decodeServerFrame(data);
    if (frame.t === "credit") this.#credit += frame.credit;
    else if (frame.t === "ack") {
      this.#credit += frame.credit;
      this.#ackedMs[frame.seq - SEQ_BASE] = nowMs();
      this.#acked++;
    } else if (frame.t === "error") this.#failure ??= new Error(`the server answered ${frame.code}: ${frame.message}`);
  }
}
