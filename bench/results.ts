/**
 * Reports as files: one for each bench and kind of run in `bench/results/`, the last one that was taken. They are what
 * `docs/benchmarks.md` is made of and what `compare` compares.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { projectRoot } from "../test/support/project.ts";
import type { BenchOptions, BenchReport } from "./harness.ts";

export const resultsFolder = join(projectRoot, "bench", "results");

// JSON has no NaN: a figure that could not be taken is null in the file.
const figures = z.record(
  z.string(),
  z
    .number()
    .nullable()
    .transform((value) => value ?? Number.NaN),
);
const axis = z.object({ title: z.string(), log: z.boolean().optional() });
const plot = z.object({
  title: z.string(),
  mark: z.enum(["bars", "lines"]),
  x: axis,
  y: axis,
  points: z
    .array(z.object({ series: z.string(), x: z.union([z.string(), z.number()]), y: z.number().nullable() }))
    .transform((points) => points.flatMap(({ y, ...others }) => (y === null ? [] : [{ ...others, y }]))),
});
const savedReport = z.object({
  bench: z.string(),
  /** ISO 8601, when the run ended. */
  date: z.string(),
  command: z.string(),
  size: z.enum(["small", "normal", "full"]),
  /** The machine's load average over a minute, before the run: about 0 when nothing else ran. */
  loadBefore: z.number(),
  machine: z.record(z.string(), z.union([z.string(), z.number()])),
  versions: z.record(z.string(), z.string()),
  commit: z.string(),
  parameters: z.record(z.string(), z.unknown()),
  results: z.array(
    z.object({ name: z.string(), rounds: z.number(), figures, about: z.record(z.string(), z.string()).optional() }),
  ),
  ratios: figures,
  answersHash: z.string(),
  plots: z.array(plot).optional(),
  notes: z.array(z.string()).optional(),
});

export type SavedReport = z.output<typeof savedReport>;

/** `ingest`, or `ingest-questdb` for a run with a flag that changes what is measured. */
export function fileNameOf(bench: string, flags: ReadonlySet<string>): string {
  const changing = [...flags].filter((flag) => flag !== "json" && flag !== "small" && flag !== "full");
  return [bench, ...changing.toSorted()].join("-");
}

export function savedReportOf(report: BenchReport, options: BenchOptions, at: { date: Date; loadBefore: number }): SavedReport {
  const flags = [...options.flags].filter((flag) => flag !== "json").map((flag) => ` --${flag}`);
  const command = `npm run bench -- ${report.bench}${flags.join("")}`;
  const { date, loadBefore } = at;
  return readSaved(JSON.stringify({ ...report, date: date.toISOString(), command, size: options.size, loadBefore }));
}

function readSaved(text: string): SavedReport {
  return savedReport.parse(JSON.parse(text));
}

export function readReport(file: string): SavedReport {
  try {
    return readSaved(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new Error(`${file} is not a report of a bench`, { cause });
  }
}

/** Gives the file. */
export function saveReport(report: SavedReport, name: string, folder = resultsFolder): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}

/** All of a folder, by the names of their files. */
export function readReports(folder = resultsFolder): Map<string, SavedReport> {
  if (!existsSync(folder)) return new Map();
  const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return new Map(names.toSorted().map((name) => [name.slice(0, -".json".length), readReport(join(folder, name))]));
}
