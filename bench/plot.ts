/** A picture of a report, as data: `report/svg.ts` draws it. Benches make them with the functions here. */
import type { BenchResult } from "./harness.ts";

export interface PlotPoint {
  /** What a line or a colour stands for. */
  readonly series: string;
  /** A text stands for itself, in the order in which it comes. */
  readonly x: string | number;
  readonly y: number;
}

export interface BenchPlot {
  readonly title: string;
  readonly mark: "bars" | "lines";
  readonly x: { readonly title: string; readonly log?: boolean | undefined };
  /** Begins at 0 unless it is logarithmic. */
  readonly y: { readonly title: string; readonly log?: boolean | undefined };
  readonly points: readonly PlotPoint[];
}

/** A bar for each result that has the figure. */
export function barsOf(title: string, yTitle: string, results: readonly BenchResult[], figure: string): BenchPlot {
  const points = results.flatMap(({ name, figures }) => {
    const y = figures[figure];
    return y === undefined ? [] : [{ series: name, x: name, y }];
  });
  return { title, mark: "bars", x: { title: "" }, y: { title: yTitle }, points };
}

/** A line for each result through several of its figures: their names and where each stands on the x axis. */
export function linesThrough(
  axes: Pick<BenchPlot, "title" | "x" | "y">,
  results: readonly BenchResult[],
  figures: readonly (readonly [name: string, x: number])[],
): BenchPlot {
  const points = results.flatMap((result) =>
    figures.flatMap(([figure, x]) => {
      const y = result.figures[figure];
      return y === undefined ? [] : [{ series: result.name, x, y }];
    }),
  );
  return { ...axes, mark: "lines", points };
}
