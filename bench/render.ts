/** A report as text: one row for each figure and one column for each contender, or the other way when they are many. */
import type { BenchReport, BenchResult } from "./harness.ts";

/** More contenders than this are rows, and their figures columns. */
const COLUMNS_MAX = 5;

export function renderReport(report: BenchReport): string {
  const { bench, machine, versions, commit, parameters, results, ratios, answersHash, notes = [] } = report;
  const listed = (values: Readonly<Record<string, unknown>>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${textOf(value)}`)
      .join(", ");
  const figureNames = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = [
    [bench, ...results.map(({ name, rounds }) => `${name} (${rounds === 1 ? "1 round" : `median of ${rounds}`})`)],
    ...figureNames.map((figure) => [figure, ...results.map(({ figures }) => formatFigure(figures[figure]))]),
  ];
  const lines = [...table(results.length > COLUMNS_MAX ? transposed(rows) : rows)];
  const about = aboutRows(results);
  if (about.length > 0) lines.push("", ...table(about, "left"));
  if (Object.keys(ratios).length > 0) {
    lines.push("", ...table(ratioRows(ratios, "medians of the ratios within rounds")));
  }
  if (notes.length > 0) lines.push("", ...notes);
  lines.push("", `machine: ${listed(machine)}`, `commit: ${commit}`, `versions: ${listed(versions)}`);
  lines.push(`parameters: ${listed(parameters)}`, `answers: ${answersHash} (checked against what was sent)`);
  return lines.join("\n");
}

/** A row for each figure, a column for each pair, or the other way when they are many; with a head. Keys are `figure: one / other`. */
export function ratioRows(ratios: Readonly<Record<string, number>>, corner: string): string[][] {
  const pairs: string[] = [];
  const byFigure = new Map<string, Map<string, number>>();
  for (const [key, value] of Object.entries(ratios)) {
    const end = key.indexOf(": ");
    const figure = end < 0 ? "" : key.slice(0, end);
    const pair = end < 0 ? key : key.slice(end + 2);
    if (!pairs.includes(pair)) pairs.push(pair);
    byFigure.set(figure, (byFigure.get(figure) ?? new Map<string, number>()).set(pair, value));
  }
  const rows = [...byFigure].map(([figure, values]) => [figure, ...pairs.map((pair) => formatFigure(values.get(pair)))]);
  const all = [[corner, ...pairs], ...rows];
  return pairs.length > COLUMNS_MAX ? transposed(all) : all;
}

/** What is said of results beside their figures, with a head; nothing when nothing is. */
export function aboutRows(results: readonly Pick<BenchResult, "name" | "about">[]): string[][] {
  const names = [...new Set(results.flatMap(({ about = {} }) => Object.keys(about)))];
  if (names.length === 0) return [];
  return [["", ...names], ...results.map(({ name, about }) => [name, ...names.map((each) => about?.[each] ?? "-")])];
}

function transposed(rows: readonly (readonly string[])[]): string[][] {
  return (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] ?? ""));
}

/** The first column to the left, numbers to the right. */
export function table(rows: readonly (readonly string[])[], cells: "left" | "right" = "right"): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 || cells === "left" ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

/** Three significant digits, thousands apart: 612,000; 1.48; 0.0312. */
export function formatFigure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "-";
  return value.toLocaleString("en-US", value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}

/** A parameter's value. */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "-");
}
