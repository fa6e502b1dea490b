/** What is to happen, kill by kill; all of it follows from the seed. */
import { crashPoints, type CrashPoint } from "../../workers/crash-points.ts";

/**
 * `random`: the server at any instant. `start`: the server while it recovers. `questdb`: QuestDB's process at any instant, then
 * the server. `drain`: the server at any instant after SIGTERM. The others are points of the code.
 */
export type KillKind = CrashPoint | "random" | "start" | "drain" | "questdb";

export interface Kill {
  readonly kind: KillKind;
  /** Of a named point: the pass that kills. */
  readonly pass: number;
  /** Of an instant: how far into the time that is allowed for it, in [0, 1). */
  readonly instant: number;
}

/** How many passes there may be before the one that kills: enough to come at different ages of the server, soon enough to wait. */
const passesMax: Readonly<Record<CrashPoint, number>> = {
  "before-append": 40,
  "after-append": 40,
  "after-flush": 40,
  "in-snapshot": 8,
  "after-snapshot": 8,
  "before-trim": 4,
  "after-rows": 12,
  "in-drain": 3,
};

export function isCrashPoint(kind: KillKind): kind is CrashPoint {
  return crashPoints.some((point) => point === kind);
}

/** So many kinds of kill: every one once, then half of them at random instants and half anything. */
export function kindsOf(kills: number, questdb: boolean, random: () => number): KillKind[] {
  const points = crashPoints.filter((point) => questdb || point !== "after-rows");
  const all: KillKind[] = [...points, "random", "start", "drain", ...(questdb ? (["questdb"] as const) : [])];
  const any = (): KillKind => all[Math.floor(random() * all.length)] ?? "random";
  return Array.from({ length: kills }, (_, index) => all[index] ?? (random() < 0.5 ? "random" : any()));
}

export function planOf(kinds: readonly KillKind[], random: () => number): Kill[] {
  return kinds.map((kind) => ({
    kind,
    pass: isCrashPoint(kind) ? 1 + Math.floor(random() * passesMax[kind]) : 0,
    instant: random(),
  }));
}
