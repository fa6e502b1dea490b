/**
 * The two services of a crash test. Both number their events in the same books, and both go on until everything they sent is
 * acknowledged, over as many sockets as that takes.
 *
 *   SdkSender   publishes through the client SDK, which sends again by itself, the same frames
 *   RawSender   speaks the protocol itself and sends again in *other* frames: unanswered events mixed anew, and among them some
 *               that were acknowledged long ago, which have to come back as duplicates
 */
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import type { WeirClient } from "../../client/index.ts";
import { decodeServerFrame, encodePublish, type AckFrame, type ErrorFrame } from "../../protocol/frames.ts";
import type { Books } from "./books.ts";

const FRAMES_OUTSTANDING_MAX = 6;
const FRAME_EVENTS_TYPICAL = 20;
const FRAME_EVENTS_MAX = 300;
const PAUSE_MS_MAX = 80;
const RECONNECT_MS = 30;
/** So many of the last acknowledged events may be sent once more. */
const REMEMBERED = 2_000;

export interface SenderOptions {
  readonly books: Books;
  /** In [0, 1). */
  readonly random: () => number;
  /** Something that must not happen. */
  readonly onProblem: (problem: string) => void;
}

export interface Sender {
  /** Sends until `stop` fires, then waits until all is acknowledged, or until `end` fires. */
  run(stop: AbortSignal, end: AbortSignal): Promise<void>;
  readonly duplicates: number;
}

/** Mostly small frames, at times a large one. */
function frameSize(random: () => number): number {
  return 1 + Math.floor(random() * (random() < 0.03 ? FRAME_EVENTS_MAX : FRAME_EVENTS_TYPICAL));
}

async function pause(random: () => number): Promise<void> {
  const ms = random() * PAUSE_MS_MAX;
  // Now and then several frames at once: turns with more than one frame, commits with more than one turn.
  if (ms > PAUSE_MS_MAX / 4) await delay(ms);
}

export class SdkSender implements Sender {
  readonly #options: SenderOptions;
  readonly #client: WeirClient;

  constructor(client: WeirClient, options: SenderOptions) {
    this.#client = client;
    this.#options = options;
  }

  get duplicates(): number {
    return this.#client.stats.duplicates;
  }

  async run(stop: AbortSignal, end: AbortSignal): Promise<void> {
    const { books, random } = this.#options;
    const outstanding = new Set<Promise<void>>();
    while (!stop.aborted) {
      while (outstanding.size >= FRAMES_OUTSTANDING_MAX) await Promise.race(outstanding);
      const numbers = books.take(frameSize(random));
      const sent: Promise<void> = this.#publish(numbers, end).finally(() => outstanding.delete(sent));
      outstanding.add(sent);
      await pause(random);
    }
    await Promise.all(outstanding);
  }

  async #publish(numbers: readonly number[], end: AbortSignal): Promise<void> {
    const { books, onProblem } = this.#options;
    try {
      const { results } = await this.#client.publish(numbers.map((n) => books.event(n)));
      const refused = results.find(({ success }) => !success);
      if (refused === undefined) books.ack(numbers);
      else onProblem(`${refused.eventId} was refused: ${refused.code} ${refused.error}`);
    } catch (error) {
      if (!end.aborted) onProblem(`the client gave up: ${String(error)}`);
    }
  }
}

interface RawFrame {
  readonly numbers: readonly number[];
  /** Indexes of events that were acknowledged before. */
  readonly old: readonly number[];
}

export class RawSender implements Sender {
  readonly #options: SenderOptions;
  readonly #url: string;
  readonly #key: string;
  #socket: WebSocket | undefined;
  #seq = 0;
  readonly #pending = new Map<number, RawFrame>();
  /** To be sent again. */
  #again: number[] = [];
  #remembered: number[] = [];
  /** Since the last connect: then comes the time to send old events again. */
  #framesSent = 0;
  #pausedUntilMs = 0;
  duplicates = 0;

  constructor(url: string, key: string, options: SenderOptions) {
    this.#url = `${url.replace("http", "ws")}/v1/stream`;
    this.#key = key;
    this.#options = options;
  }

  async run(stop: AbortSignal, end: AbortSignal): Promise<void> {
    try {
      while (!end.aborted && (!stop.aborted || this.#pending.size > 0 || this.#again.length > 0)) {
        const socket = await this.#connected();
        if (socket === undefined) continue;
        if (this.#pending.size < FRAMES_OUTSTANDING_MAX && Date.now() >= this.#pausedUntilMs) this.#send(socket, stop.aborted);
        else await delay(1);
        await pause(this.#options.random);
      }
    } finally {
      this.#socket?.terminate();
    }
  }

  async #connected(): Promise<WebSocket | undefined> {
    if (this.#socket?.readyState === WebSocket.OPEN) return this.#socket;
    this.#again.push(...[...this.#pending.values()].flatMap(({ numbers }) => numbers).filter((n) => !this.#options.books.has(n)));
    this.#pending.clear();
    this.#socket?.terminate();
    const socket = new WebSocket(this.#url, { headers: { authorization: `Bearer ${this.#key}` } });
    this.#socket = socket;
    this.#framesSent = 0;
    // An answer that came over a socket before this one would be about other frames: their seq are not in use any more.
    socket.on("message", (data: Buffer) => this.#take(decodeServerFrame(data)));
    const open = await new Promise<boolean>((resolve) => {
      socket.once("open", () => resolve(true));
      socket.once("close", () => resolve(false));
      // Always followed by a close.
      socket.on("error", () => undefined);
    });
    if (!open) await delay(RECONNECT_MS);
    return open ? socket : undefined;
  }

  #send(socket: WebSocket, onlyAgain: boolean): void {
    const { books, random } = this.#options;
    const size = frameSize(random);
    const numbers = shuffled(this.#again, random).slice(0, size);
    const chosen = new Set(numbers);
    this.#again = this.#again.filter((n) => !chosen.has(n));
    if (numbers.length < size && !onlyAgain) numbers.push(...books.take(size - numbers.length));
    if (numbers.length === 0) return;
    const old: number[] = [];
    if (this.#framesSent++ < 3 || random() < 0.05) {
      for (const n of shuffled(this.#remembered, random).slice(0, 20)) {
        // Behind the others: an old one first would hide whether the others keep their verdicts.
        old.push(numbers.push(n) - 1);
      }
    }
    const seq = ++this.#seq;
    this.#pending.set(seq, { numbers, old });
    socket.send(
      encodePublish(
        seq,
        numbers.map((n) => books.event(n)),
      ),
    );
  }

  #take(frame: ReturnType<typeof decodeServerFrame>): void {
    if (frame.t === "ack") this.#acknowledged(frame);
    else if (frame.t === "error") this.#refused(frame);
  }

  #acknowledged({ seq, failedEvents, results = [] }: AckFrame): void {
    const { books, onProblem } = this.#options;
    const frame = this.#pending.get(seq);
    if (frame === undefined) return;
    this.#pending.delete(seq);
    if (failedEvents > 0) {
      onProblem(`events were refused: ${JSON.stringify(results.filter(({ success }) => !success).slice(0, 3))}`);
      return;
    }
    const duplicates = new Set(results.flatMap(({ index, duplicate }) => (duplicate === true ? [index] : [])));
    this.duplicates += duplicates.size;
    const counted = frame.old.filter((index) => !duplicates.has(index)).map((index) => frame.numbers[index]);
    if (counted.length > 0) onProblem(`acknowledged before and counted once more: ${counted.join()}`);
    books.ack(frame.numbers);
    this.#remembered = [...this.#remembered, ...frame.numbers].slice(-REMEMBERED);
  }

  #refused({ seq, code, message, retryable }: ErrorFrame): void {
    const frame = this.#pending.get(seq ?? 0);
    if (!retryable || frame === undefined) {
      this.#options.onProblem(`a frame was refused: ${code} ${message}`);
      return;
    }
    this.#pending.delete(seq ?? 0);
    this.#again.push(...frame.numbers.filter((n) => !this.#options.books.has(n)));
    this.#pausedUntilMs = Date.now() + RECONNECT_MS;
  }
}

function shuffled(numbers: readonly number[], random: () => number): number[] {
  const copy = [...numbers];
  for (let last = copy.length - 1; last > 0; last--) {
    const at = Math.floor(random() * (last + 1));
    const moved = copy[at] ?? 0;
    copy[at] = copy[last] ?? 0;
    copy[last] = moved;
  }
  return copy;
}
