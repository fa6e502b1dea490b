/** A report as text: where and with what, then one row for each figure and one column for each contender. */
import type { BenchReport } from "./harness.ts";

export function renderReport(report: BenchReport): string {
  const { bench, machine, versions, commit, parameters, results, ratios, answersHash } = report;
  const listed = (values: Readonly<Record<string, unknown>>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${textOf(value)}`)
      .join(", ");
  const figureNames = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = [
    [bench, ...results.map(({ name, rounds }) => `${name} (${rounds === 1 ? "1 round" : `median of ${rounds}`})`)],
    ...figureNames.map((figure) => [figure, ...results.map(({ figures }) => formatFigure(figures[figure]))]),
  ];
  const lines = [...table(rows)];
  if (Object.keys(ratios).length > 0) {
    lines.push("", ...table(ratioRows(ratios, "medians of the ratios within rounds")));
  }
  lines.push("", `machine: ${listed(machine)}`, `commit: ${commit}`, `versions: ${listed(versions)}`);
  lines.push(`parameters: ${listed(parameters)}`, `answers: ${answersHash} (checked against what was sent)`);
  return lines.join("\n");
}

/** A row for each figure, a column for each pair, with a head. Keys are `figure: one / other`. */
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
  return [[corner, ...pairs], ...rows];
}

export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "),
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
