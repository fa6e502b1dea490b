/** Rows as a text table or as CSV (RFC 4180). */

export type Row = Readonly<Record<string, unknown>>;

export function columnsOf(rows: readonly Row[]): string[] {
  const columns = new Set<string>();
  for (const row of rows) for (const name of Object.keys(row)) columns.add(name);
  return [...columns];
}

/** Numbers to the right, everything else to the left; the header in capitals. */
export function formatTable(rows: readonly Row[], columns: readonly string[] = columnsOf(rows)): string {
  const cells = rows.map((row) => columns.map((column) => formatCell(row[column])));
  const numeric = columns.map((column) => rows.some((row) => typeof row[column] === "number"));
  const widths = columns.map((column, at) => Math.max(column.length, ...cells.map((line) => (line[at] ?? "").length)));
  const line = (texts: readonly string[]) =>
    texts
      .map((text, at) => (numeric[at] === true ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(columns.map((column) => column.toUpperCase())), ...cells.map(line)].join("\n");
}

export function formatCsv(rows: readonly Row[], columns: readonly string[] = columnsOf(rows)): string {
  const lines = rows.map((row) => columns.map((column) => csvCell(row[column])).join(","));
  return [columns.map(csvCell).join(","), ...lines].join("\r\n");
}

export function formatCell(value: unknown): string {
  if (value === null || value === undefined) return "-";
  if (typeof value === "number") return formatNumber(value);
  if (Array.isArray(value)) return value.map(formatTopKey).join(", ");
  return plainText(value);
}

/** A text as it is, anything else as JSON. */
function plainText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

export function formatNumber(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1 });
}

/** An entry of `topK` as `key (count)`. */
function formatTopKey(entry: unknown): string {
  if (typeof entry !== "object" || entry === null) return plainText(entry);
  const { key, count } = entry as { key?: unknown; count?: unknown };
  return key === undefined ? JSON.stringify(entry) : `${plainText(key)} (${formatCell(count)})`;
}

function csvCell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = plainText(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
