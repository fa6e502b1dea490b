/** A report as text: one row for each figure and one column for each contender, or the other way when they are many. */
import type { BenchReport } from "./harness.ts";

/** More contenders than this are rows, and their figures columns. */
const COLUMNS_MAX = 5;

export function renderReport(report: BenchReport): string {
  const { bench, machine, versions, commit, parameters, results, ratios, answersHash, notes = [] } = report;
  const listed = (values: Readonly<Record<string, unknown>>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(", ");
  const figureNames = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = [
    [bench, ...results.map(({ name, rounds }) => `${name} (${rounds === 1 ? "1 round" : `median of ${rounds}`})`)],
    ...figureNames.map((figure) => [figure, ...results.map(({ figures }) => format(figures[figure]))]),
  ];
  const lines = [...table(results.length > COLUMNS_MAX ? transposed(rows) : rows)];
  const aboutNames = [...new Set(results.flatMap(({ about = {} }) => Object.keys(about)))];
  if (aboutNames.length > 0) {
    const about = results.map((result) => [result.name, ...aboutNames.map((name) => result.about?.[name] ?? "-")]);
    lines.push("", ...table([["", ...aboutNames], ...about], "left"));
  }
  if (Object.keys(ratios).length > 0) {
    lines.push(
      "",
      "medians of the ratios within rounds",
      ...table(Object.entries(ratios).map(([name, value]) => [name, format(value)])),
    );
  }
  if (notes.length > 0) lines.push("", ...notes);
  lines.push("", `machine: ${listed(machine)}`, `commit: ${commit}`, `versions: ${listed(versions)}`);
  lines.push(`parameters: ${listed(parameters)}`, `answers: ${answersHash} (checked against what was sent)`);
  return lines.join("\n");
}

function transposed(rows: readonly (readonly string[])[]): string[][] {
  return (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] ?? ""));
}

/** The first column to the left, numbers to the right. */
function table(rows: readonly (readonly string[])[], cells: "left" | "right" = "right"): string[] {
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
function format(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "-";
  return value.toLocaleString("en-US", value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 });
}
