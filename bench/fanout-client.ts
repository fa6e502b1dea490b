/**
 * A process of many subscribers, each with a socket of its own, that notes when each of them gets each delta. Every delta of
 * every subscriber is held against what the others got under its `seq`: a torn or mixed-up frame fails the run, a lost one is
 * counted. Driven by messages of its parent: see `fanout-driver.ts`.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeServerFrame, encodeFrame } from "../protocol/frames.ts";
import { ages } from "./fanout-ages.ts";
import type { FanoutCommand, FanoutFigures, FanoutReply, FanoutTarget, PublishedFrames } from "./fanout-driver.ts";
import { RawSubscriber } from "./raw-subscriber.ts";
import { quantileOf } from "./statistics.ts";

/** So many handshakes at once: the queue of a listening socket is short. */
const OPENING_MAX = 200;
const SEEN_TIMEOUT_MS = 60_000;
const RECENT_FRAMES = 8;

/** One delta: what it says, and when each subscriber got it (NaN: not at all). */
export interface SeenDelta {
  readonly seq: number;
  readonly count: number;
  readonly bytes: Buffer;
  readonly receivedMs: Float64Array;
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

class Subscribers {
  readonly #target: FanoutTarget;
  readonly #sockets: RawSubscriber[] = [];
  readonly #lastSeq: Float64Array;
  readonly #lastCount: Float64Array;
  readonly #deltas = new Map<number, SeenDelta>();
  #recent: SeenDelta[] = [];
  #missed = 0;
  #failure: Error | undefined;
  #cpu = process.cpuUsage();

  constructor(target: FanoutTarget) {
    this.#target = target;
    this.#lastSeq = new Float64Array(target.subscribers).fill(Number.NaN);
    this.#lastCount = new Float64Array(target.subscribers);
  }

  async open(): Promise<void> {
    for (let from = 0; from < this.#target.subscribers; from += OPENING_MAX) {
      const some = Math.min(OPENING_MAX, this.#target.subscribers - from);
      await Promise.all(Array.from({ length: some }, (_, at) => this.#openOne(from + at)));
    }
    this.#cpu = process.cpuUsage();
  }

  /** Resolves with the first frame that says where the channel stands. */
  #openOne(index: number): Promise<void> {
    const { url, key, channel, everyMs } = this.#target;
    return new Promise((resolve, reject) => {
      const socket = new RawSubscriber(url, key, {
        opened: () => socket.send(encodeFrame({ t: "sub", id: 1, channel, every: everyMs })),
        frame: (payload) => {
          if (Number.isNaN(this.#lastSeq[index])) this.#begin(index, payload, resolve);
          else this.#receive(index, payload);
        },
        failed: (cause) => {
          this.#failure ??= cause;
          reject(cause);
        },
      });
      this.#sockets.push(socket);
    });
  }

  #begin(index: number, payload: Buffer, resolve: () => void): void {
    const frame = decodeServerFrame(Buffer.from(payload));
    if (frame.t === "hello") return;
    if (frame.t !== "snap") throw new Error(`a ${frame.t} came before the snapshot`);
    this.#lastSeq[index] = frame.seq;
    this.#lastCount[index] = Number(frame.values[0]?.["count"] ?? 0);
    resolve();
  }

  #receive(index: number, payload: Buffer): void {
    const delta = this.#deltaOf(payload);
    const expected = (this.#lastSeq[index] ?? 0) + 1;
    if (delta.seq < expected) throw new Error(`subscriber ${index} got delta ${delta.seq} after ${expected - 1}`);
    if (delta.count < (this.#lastCount[index] ?? 0)) throw new Error(`a count went down to ${delta.count}`);
    this.#missed += delta.seq - expected;
    this.#lastSeq[index] = delta.seq;
    this.#lastCount[index] = delta.count;
    delta.receivedMs[index] = nowMs();
  }

  /** Decoded once; the others' bytes are compared with it. */
  #deltaOf(payload: Buffer): SeenDelta {
    for (const delta of this.#recent) if (delta.bytes.equals(payload)) return delta;
    const bytes = Buffer.from(payload);
    const frame = decodeServerFrame(bytes);
    if (frame.t !== "delta") throw new Error(`a ${frame.t} in place of a delta`);
    const known = this.#deltas.get(frame.seq);
    if (known !== undefined && !known.bytes.equals(bytes)) throw new Error(`delta ${frame.seq} came in two versions`);
    const receivedMs = new Float64Array(this.#target.subscribers).fill(Number.NaN);
    // A delta without rows says that nothing changed but the window.
    const count = Number(frame.values[0]?.["count"] ?? this.#recent[0]?.count ?? 0);
    const delta = known ?? { seq: frame.seq, count, bytes, receivedMs };
    this.#deltas.set(frame.seq, delta);
    this.#recent = [delta, ...this.#recent].slice(0, RECENT_FRAMES);
    return delta;
  }

  async figures(frames: PublishedFrames): Promise<FanoutFigures> {
    const target = frames.counts.at(-1) ?? 0;
    await this.#seen(target);
    const cpu = process.cpuUsage(this.#cpu);
    const deltas = [...this.#deltas.values()].toSorted((left, right) => left.seq - right.seq);
    const spreads = Float64Array.from(deltas, spreadOf).sort();
    const received = deltas.reduce((sum, { receivedMs }) => sum + receivedMs.filter((at) => !Number.isNaN(at)).length, 0);
    return {
      ...ages(deltas, frames, this.#target.subscribers),
      spreadP50Ms: quantileOf(spreads, 0.5),
      spreadMaxMs: quantileOf(spreads, 1),
      deltas: received,
      missedDeltas: this.#missed,
      clientCpuUs: cpu.user + cpu.system,
    };
  }

  /** Every subscriber shows exactly this count. */
  async #seen(target: number): Promise<void> {
    const deadlineMs = nowMs() + SEEN_TIMEOUT_MS;
    while (!this.#lastCount.every((count) => count === target)) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#lastCount.some((count) => count > target)) throw new Error(`a subscriber shows more than ${target} events`);
      if (nowMs() > deadlineMs) {
        const behind = this.#lastCount.filter((count) => count < target);
        throw new Error(`${behind.length} subscribers do not show ${target} events; one shows ${behind[0] ?? 0}`);
      }
      await sleep(10);
    }
  }
}

function spreadOf({ receivedMs }: SeenDelta): number {
  let [first, last] = [Infinity, -Infinity];
  for (const at of receivedMs) {
    if (at < first) first = at;
    if (at > last) last = at;
  }
  return last - first;
}

let subscribers: Subscribers | undefined;

async function obey(command: FanoutCommand): Promise<FanoutReply> {
  if (command.kind === "subscribe") {
    subscribers = new Subscribers(command.target);
    await subscribers.open();
    return { kind: "subscribed" };
  }
  if (subscribers === undefined) throw new Error("figures before subscribe");
  return { kind: "figures", figures: await subscribers.figures(command.frames) };
}

// The parent's end is the end of this process.
process.on("disconnect", () => process.exit(0));
process.on("message", (command: FanoutCommand) => {
  void obey(command)
    .catch((cause: unknown): FanoutReply => ({ kind: "failed", reason: cause instanceof Error ? cause.message : String(cause) }))
    .then((reply) => process.connected && process.send?.(reply));
});
