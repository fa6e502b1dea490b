/**
 * What the state weighs: bytes for each remembered id, each active session, each series and each pane of a series, in stage 1 and
 * in stage 2, of heap and external memory, in a process of its own for each. Says by kind of object where they go.
 *
 * `bytesEach`: straight after the events; `bytesEachSettled`: after the next snapshot, when the lists of what is to be written
 * are empty. A series is one with one pane; a pane is one more in it. `5 numbers`: count, sum, min, max and mean. An id's bytes depend on how full its table is, so ids are weighed at three counts.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { reportOf, type BenchOptions, type BenchReport, type BenchResult, type Figures } from "../harness.ts";
import type { PartName } from "./memory-parts.ts";
import type { WeighCommand, Weighed } from "./memory-process.ts";

const sizes = {
  small: { ids: 20_000, idShares: [1], sessions: 2_000, series: 1_000, countForKinds: 0 },
  normal: { ids: 1_000_000, idShares: [1, 1.25, 1.5], sessions: 100_000, series: 20_000, countForKinds: 10_000 },
  full: { ids: 4_000_000, idShares: [1, 1.25, 1.5], sessions: 400_000, series: 100_000, countForKinds: 20_000 },
} as const;
/** The goals that the report stands beside. */
const goals = { id: 17, session: 160, seriesPane: 40 } as const;
const PANES = 6;

export async function memory(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const weighed = async (part: PartName, count: number): Promise<Weighed> => {
    progress(`${part}: ${count}`);
    return weigh({ part, count, countForKinds: Math.min(size.countForKinds, count) });
  };
  const results: BenchResult[] = [];
  const add = (name: string, figures: Figures): void => void results.push({ name, rounds: 1, figures });

  for (const share of size.idShares) {
    const count = size.ids * share;
    add(`id of ${count.toLocaleString("en-US")}`, figuresOf(await weighed("ids", count)));
  }
  add("session", figuresOf(await weighed("sessionsOf1", size.sessions)));
  add("session, 3 events", figuresOf(await weighed("sessionsOf3", size.sessions)));
  const pairs = [
    ["count", "seriesOf1Pane", "seriesOf6Panes"],
    ["5 numbers", "numberSeriesOf1Pane", "numberSeriesOf6Panes"],
    ["stage 2, count", "stage2SeriesOf1Pane", "stage2SeriesOf6Panes"],
  ] as const;
  for (const [what, onePart, sixPart] of pairs) {
    const one = await weighed(onePart, size.series);
    const six = await weighed(sixPart, size.series);
    add(`series, ${what}`, figuresOf(one));
    add(`pane, ${what}`, figuresOf(paneMore(one, six)));
  }
  return reportOf("memory", { ...size, goals: JSON.stringify(goals) }, results, {}, size);
}

function paneMore(one: Weighed, six: Weighed): Weighed {
  const each = (of: (weighed: Weighed) => number): number => (of(six) - of(one)) / (PANES - 1);
  const before = new Map(one.kinds);
  return {
    bytesEach: each(({ bytesEach }) => bytesEach),
    bytesEachSettled: each(({ bytesEachSettled }) => bytesEachSettled),
    kinds: six.kinds.map(([kind, bytes]) => [kind, (bytes - (before.get(kind) ?? 0)) / (PANES - 1)] as const),
  };
}

function figuresOf({ bytesEach, bytesEachSettled, kinds }: Weighed): Figures {
  return { bytesEach, bytesEachSettled, ...Object.fromEntries(kinds.map(([kind, bytes]) => [`  ${kind}`, bytes])) };
}

async function weigh(command: WeighCommand): Promise<Weighed> {
  const program = fileURLToPath(new URL("./memory-process.js", import.meta.url));
  const child = fork(program, [], { execArgv: ["--expose-gc"], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const answered = once(child, "message") as Promise<[Weighed]>;
  const ended = once(child, "exit").then(() => Promise.reject(new Error(`the process that weighs ${command.part} failed`)));
  ended.catch(() => undefined);
  child.send(command);
  const [weighed] = await Promise.race([answered, ended]);
  return weighed;
}
