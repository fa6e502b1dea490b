/**
 * The pieces of an event's path, each alone in this process: nanoseconds for an event (or a value). All pieces take turns within
 * a round. For how they add up, with the caches shared, see `path.ts`.
 */
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { medianFigures } from "../statistics.ts";
import { cleanWorkload } from "../workload.ts";
import { deduplicationWorks } from "./deduplication.ts";
import { durableWorks } from "./durable.ts";
import { microInput, type MicroPart, type MicroWork } from "./part.ts";
import { readerWorks } from "./reader.ts";
import { sketchWorks } from "./sketches.ts";
import { windowWorks } from "./windows.ts";

const sizes = {
  small: { frames: 20, templates: 20, rounds: 2 },
  normal: { frames: 500, templates: 200, rounds: 9 },
  full: { frames: 1_000, templates: 500, rounds: 21 },
} as const;
/** Of each piece, not counted: by then it is compiled. */
const WARM_UP_ROUNDS = 2;

const parts: readonly MicroPart[] = [readerWorks, deduplicationWorks, windowWorks, sketchWorks, durableWorks];

export async function micro(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const { frames, templates, rounds } = sizes[options.size];
  const workload = { ...cleanWorkload, templates, nowMs: Date.now() };
  const input = microInput(workload, frames);
  const works: MicroWork[] = [];
  for (const part of parts) works.push(...(await part(input)));
  const figures = works.map((): Figures[] => []);
  try {
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      progress(round < 0 ? "warming up" : `round ${round + 1}/${rounds}`);
      for (const [index, work] of works.entries()) {
        const found = await work.round();
        if (round >= 0) figures[index]?.push(found);
      }
    }
  } finally {
    for (const work of works) await work.close?.();
  }
  const medians = new Map(works.map(({ name }, index) => [name, medianFigures(figures[index] ?? [])]));
  const results = unitsOf(medians).map((unit) => ({ name: unit, rounds, figures: columnOf(medians, unit) }));
  return reportOf("micro", { ...sizes[options.size], batch: workload.batch, seed: workload.seed }, results, {}, frames);
}

/** A report has one row for each piece, and one column for each unit. */
function unitsOf(medians: ReadonlyMap<string, Figures>): string[] {
  return [...new Set([...medians.values()].flatMap((each) => Object.keys(each)))];
}

function columnOf(medians: ReadonlyMap<string, Figures>, unit: string): Figures {
  const column = [...medians].flatMap(([name, { [unit]: value }]) => (value === undefined ? [] : [[name, value] as const]));
  return Object.fromEntries(column);
}
