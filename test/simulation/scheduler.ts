/**
 * Virtual time, and who runs when. A task runs alone; everything that follows from it without waiting (microtasks) has run
 * before the next one begins. Tasks of the same moment run in a random order, so each seed is another interleaving.
 *
 * A task belongs to a process, and never runs once that has been killed: that is how a crash stops a server between any two
 * steps. Promises that a killed process waits for never settle.
 */
import { setImmediate as realTurn } from "node:timers";
import type { Random } from "./random.ts";

interface Task {
  readonly atMs: number;
  /** Decides between tasks of the same moment. */
  readonly tie: number;
  readonly process: Process;
  readonly work: () => void;
}

export class Scheduler {
  readonly #random: Random;
  /** A binary heap: the earliest first. */
  readonly #tasks: Task[] = [];
  /** Since the start of the simulation. */
  elapsedMs = 0;
  steps = 0;
  onError: (error: unknown) => void = (error) => {
    throw error;
  };

  constructor(random: Random) {
    this.#random = random;
  }

  process(name: string): Process {
    return new Process(name, this, this.#random);
  }

  add(process: Process, delayMs: number, work: () => void): void {
    this.#tasks.push({ atMs: this.elapsedMs + delayMs, tie: this.#random.next(), process, work });
    this.#up(this.#tasks.length - 1);
  }

  /** Runs tasks until `done` says so or time is up. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    while (!done()) {
      const first = this.#tasks[0];
      if (first === undefined || first.atMs > untilMs) {
        this.elapsedMs = Math.max(this.elapsedMs, untilMs);
        return;
      }
      this.#pop();
      if (!first.process.alive) continue;
      this.elapsedMs = first.atMs;
      this.steps++;
      try {
        first.work();
      } catch (error) {
        this.onError(error);
      }
      await new Promise((resolve) => realTurn(resolve));
    }
  }

  #pop(): void {
    const last = this.#tasks.pop();
    if (last === undefined || this.#tasks.length === 0) return;
    this.#tasks[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const child = left + 1 < this.#tasks.length && this.#before(left + 1, left) ? left + 1 : left;
      if (child >= this.#tasks.length || !this.#before(child, at)) return;
      this.#swap(at, child);
      at = child;
    }
  }

  #up(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #before(one: number, other: number): boolean {
    const [a, b] = [this.#tasks[one] as Task, this.#tasks[other] as Task];
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.tie < b.tie);
  }

  #swap(one: number, other: number): void {
    [this.#tasks[one], this.#tasks[other]] = [this.#tasks[other] as Task, this.#tasks[one] as Task];
  }
}

/** What can be killed as a whole: the server, its warehouse writer, QuestDB, the network, the clients. */
export class Process {
  readonly name: string;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  alive = true;

  constructor(name: string, scheduler: Scheduler, random: Random) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#random = random;
  }

  /** Since the start of the simulation. */
  get nowMs(): number {
    return this.#scheduler.elapsedMs;
  }

  /** The answer cancels it. */
  after(delayMs: number, work: () => void): () => void {
    let cancelled = false;
    if (this.alive) this.#scheduler.add(this, delayMs, () => cancelled || work());
    return () => {
      cancelled = true;
    };
  }

  /** In a later turn: mostly at once, now and then after a pause of the thread. */
  soon(work: () => void): void {
    this.after(this.#random.chance(0.01) ? this.#random.duration(1, 100) : this.#random.next() * 0.2, work);
  }

  every(delayMs: number, work: () => void): () => void {
    let cancelled = false;
    const run = (): void => {
      if (cancelled) return;
      this.after(delayMs, run);
      work();
    };
    this.after(delayMs, run);
    return () => {
      cancelled = true;
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.after(delayMs, wake);
      signal?.addEventListener("abort", wake);
    });
  }

  kill(): void {
    this.alive = false;
  }
}
