/**
 * The warehouse writer's positions, with marks of where they stood in the past. An answer of QuestDB does not mean that a row
 * survives a crash of its machine (an external one may not flush): after a restart of it that may have lost something, the
 * writer goes back to where it stood a safety tail ago and sends again. Upsert keys make that harmless.
 *
 *   marks:   0 ------ T1 ------ T2 ---- | now - tail | ---- T3 ---- T4 ---- now
 *                                ^ back to here: all that was answered for after T2 is sent again
 *
 * How far back there still is something to send is the journal's matter (`journalRetentionMs`).
 */
import type { Positions } from "./warehouse-writer.ts";

/** Where all sources stood at a time: what lies behind was answered for later. */
export interface PositionMark {
  readonly timeMs: number;
  readonly positions: Readonly<Record<string, number>>;
}

/** Where positions and marks are kept; each call is one commit. */
export interface MarkedPositions extends Positions {
  /** Oldest first. */
  marks(): readonly PositionMark[];
  mark(mark: PositionMark, forgetBeforeMs: number): Promise<void>;
}

export interface SafetyTailOptions {
  readonly kept: MarkedPositions;
  /** The names of all sources. */
  readonly names: readonly string[];
  /** 0: no going back. */
  readonly tailMs: number;
  readonly now: () => number;
}

/** So many marks fit in a tail. */
const MARKS_PER_TAIL = 60;

export class SafetyTail implements Positions {
  readonly #options: SafetyTailOptions;
  #lastMarkMs: number | undefined;

  constructor(options: SafetyTailOptions) {
    this.#options = options;
  }

  get(name: string): number {
    return this.#options.kept.get(name);
  }

  async set(positions: ReadonlyMap<string, number>): Promise<void> {
    // Before it moves: the first mark of all is where everything began.
    await this.#markWhenDue();
    await this.#options.kept.set(positions);
  }

  /** Moves every position back to where it stood a tail ago. Resolves when that is durable, with the mark's time. */
  async rewind(): Promise<number | undefined> {
    const { kept, names, tailMs, now } = this.#options;
    if (tailMs === 0) return undefined;
    const marks = kept.marks();
    const mark = marks.findLast(({ timeMs }) => timeMs <= now() - tailMs) ?? marks[0];
    if (mark === undefined) return undefined;
    // A source without a place in the mark was not there then.
    const back = names.map((name): [string, number] => [name, Math.min(kept.get(name), mark.positions[name] ?? 0)]);
    await kept.set(new Map(back));
    return mark.timeMs;
  }

  async #markWhenDue(): Promise<void> {
    const { kept, names, tailMs, now } = this.#options;
    const nowMs = now();
    this.#lastMarkMs ??= kept.marks().at(-1)?.timeMs;
    // A clock that was set back must not end the marking.
    const isDue = this.#lastMarkMs === undefined || Math.abs(nowMs - this.#lastMarkMs) >= tailMs / MARKS_PER_TAIL;
    if (tailMs === 0 || !isDue) return;
    const positions = Object.fromEntries(names.map((name) => [name, kept.get(name)]));
    const base = kept.marks().findLast(({ timeMs }) => timeMs <= nowMs - tailMs);
    await kept.mark({ timeMs: nowMs, positions }, base?.timeMs ?? 0);
    this.#lastMarkMs = nowMs;
  }
}
