/**
 * What every bench shares: rounds that alternate between the things compared, so that a slow minute of the machine hits all
 * of them, and a report that says where, with what and on which input the figures came to be.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem, type as systemName } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../test/support/project.ts";
import type { BenchPlot } from "./plot.ts";
import { medianFigures } from "./statistics.ts";

export type Figures = Readonly<Record<string, number>>;

/** `small` ends in a second or two and is part of the tests; `full` is what published figures come from. */
export type BenchSize = "small" | "normal" | "full";

export interface BenchOptions {
  readonly size: BenchSize;
  readonly flags: ReadonlySet<string>;
}

export interface BenchResult {
  readonly name: string;
  readonly rounds: number;
  readonly figures: Figures;
  /** What must be known beside the figures, when contenders do not do the same work. */
  readonly about?: Readonly<Record<string, string>> | undefined;
}

export interface BenchReport {
  readonly bench: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly results: readonly BenchResult[];
  /** Median of the ratios within rounds: `figure: one / other`. */
  readonly ratios: Figures;
  /** Equal hashes: the runs answered the same. */
  readonly answersHash: string;
  /** What `npm run bench -- report` draws; see `plot.ts`. */
  readonly plots?: readonly BenchPlot[] | undefined;
  /** What the reader must know, such as who was left out. */
  readonly notes?: readonly string[] | undefined;
}

export interface Contender {
  readonly name: string;
  /** One round from a fresh start; throws when the answers are wrong. */
  run(round: number): Promise<Figures>;
}

export type Pair = readonly [one: string, other: string];

/**
 * Every contender once a round, in turns. Figures are medians over the rounds; ratios are taken within rounds, of the pairs that
 * are named, or of the first contender to each other one.
 */
export async function alternate(
  contenders: readonly Contender[],
  rounds: number,
  progress: (line: string) => void,
  pairs: readonly Pair[] = contenders.slice(1).map(({ name }) => [contenders[0]?.name ?? "", name]),
): Promise<{ results: BenchResult[]; ratios: Record<string, number> }> {
  const figures = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      progress(`round ${round + 1}/${rounds}: ${contender.name}`);
      figures.get(contender.name)?.push(await contender.run(round));
    }
  }
  const results = contenders.map(({ name }) => ({ name, rounds, figures: medianFigures(figures.get(name) ?? []) }));
  const ratios = pairs.map((pair) => ratiosOf(pair, figures.get(pair[0]) ?? [], figures.get(pair[1]) ?? []));
  return { results, ratios: Object.assign({}, ...ratios) as Record<string, number> };
}

/** Of the figures that both have. */
function ratiosOf([one, other]: Pair, ones: readonly Figures[], others: readonly Figures[]): Record<string, number> {
  const perRound = ones.map((mine, round) => {
    const theirs = others[round] ?? {};
    const shared = Object.keys(mine).filter((name) => name in theirs);
    return Object.fromEntries(
      shared.map((name) => [`${name}: ${one} / ${other}`, (mine[name] ?? Number.NaN) / (theirs[name] ?? Number.NaN)]),
    );
  });
  return medianFigures(perRound);
}

export function reportOf(
  bench: string,
  parameters: Readonly<Record<string, unknown>>,
  results: readonly BenchResult[],
  ratios: Figures,
  answers: unknown,
): BenchReport {
  const answersHash = createHash("sha256").update(JSON.stringify(answers)).digest("hex").slice(0, 16);
  return { bench, machine: machine(), versions: versions(), commit: commit(), parameters, results, ratios, answersHash };
}

export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${systemName()} ${release()}`,
  };
}

function versions(): Record<string, string> {
  const { node, v8 } = process.versions;
  const manifest = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return { node, v8, ...manifest.dependencies };
}

/** What benches themselves write. */
const notCode = [":!bench/results", ":!docs/benchmarks", ":!docs/benchmarks.md"];

/** `+changes` when the code differs from the commit; `unknown` outside a git clone. */
function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: projectRoot, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    const isClean = git("status", "--porcelain", "--", ".", ...notCode) === "";
    return git("rev-parse", "--short=12", "HEAD") + (isClean ? "" : "+changes");
  } catch {
    return "unknown";
  }
}
