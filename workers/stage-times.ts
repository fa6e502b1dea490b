/** How long each stage of a turn takes: sums and counts since the start, in milliseconds, cheap enough for every frame. */

export const stageNames = ["read", "apply", "append", "commit"] as const;
export type StageName = (typeof stageNames)[number];

export class StageTime {
  totalMs = 0;
  count = 0;
  /** The longest since it was last asked. */
  #longestMs = 0;

  observe(ms: number): void {
    this.totalMs += ms;
    this.count++;
    if (ms > this.#longestMs) this.#longestMs = ms;
  }

  takeLongest(): number {
    const longest = this.#longestMs;
    this.#longestMs = 0;
    return longest;
  }
}

export type StageTimes = Readonly<Record<StageName, StageTime>>;

export function newStageTimes(): StageTimes {
  return { read: new StageTime(), apply: new StageTime(), append: new StageTime(), commit: new StageTime() };
}

export type StageFigures = Readonly<Record<StageName, { totalMs: number; count: number; longestMs: number }>>;

export function stageFigures(times: StageTimes): StageFigures {
  const figure = (time: StageTime) => ({ totalMs: time.totalMs, count: time.count, longestMs: time.takeLongest() });
  return { read: figure(times.read), apply: figure(times.apply), append: figure(times.append), commit: figure(times.commit) };
}
