/**
 * The demo's proof: the same questions to live panes, to metric rows in the warehouse, and as a recount of raw rows; a tick
 * where all that answered agree (sketches: within their stated bound).
 */
import type { QueryAnswer, QueryRow, QuerySource, WeirClient } from "../client/index.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { ServerError } from "../client/index.ts";
import { formatCell, formatTable } from "./table.ts";

export interface DemoRange {
  readonly from: number;
  readonly to: number;
}

const sources = ["live", "rollup", "raw"] as const satisfies readonly QuerySource[];
type Source = (typeof sources)[number];

interface Question {
  readonly label: string;
  readonly metric: string;
  readonly dimension?: string;
  /** How far the sources may lie apart, as a share: twice the bound of a sketch, for one may be too high and one too low. */
  readonly tolerance: number;
}

const QUANTILE_TOLERANCE = 0.02;
/** Three standard errors of a HyperLogLog of 2^12 registers. */
const DISTINCT_TOLERANCE = 0.05;

const questions: readonly Question[] = [
  { label: "events", metric: "events.count", tolerance: 0 },
  { label: "events", metric: "bytes_by_type.count", dimension: "eventType", tolerance: 0 },
  { label: "requests", metric: "requests_by_device_and_type.count", dimension: "deviceType", tolerance: 0 },
  { label: "bytes, sum", metric: "bytes_by_type.sum", dimension: "eventType", tolerance: 0 },
  { label: "bytes, max", metric: "bytes_by_type.max", dimension: "eventType", tolerance: 0 },
  { label: "bytes, p50", metric: "bytes_by_type.p50", dimension: "eventType", tolerance: QUANTILE_TOLERANCE },
  { label: "bytes, p95", metric: "bytes_by_type.p95", dimension: "eventType", tolerance: QUANTILE_TOLERANCE },
  { label: "bytes, p99", metric: "bytes_by_type.p99", dimension: "eventType", tolerance: QUANTILE_TOLERANCE },
  { label: "users", metric: "active_users.distinct", tolerance: DISTINCT_TOLERANCE },
  { label: "sessions", metric: "active_sessions.distinct", tolerance: DISTINCT_TOLERANCE },
];

/** Whether every line agrees, and the table. Sources that cannot answer stay empty. */
export async function compareAnswers(
  client: WeirClient,
  range: DemoRange,
  withWarehouse: boolean,
): Promise<{ table: string; agreed: boolean }> {
  const asked: readonly Source[] = withWarehouse ? sources : ["live"];
  const lines: Record<string, unknown>[] = [];
  let agreed = true;
  for (const question of questions) {
    const answers = new Map<Source, readonly QueryRow[]>();
    for (const source of asked) answers.set(source, await ask(client, question, range, source));
    for (const { name, values } of linesOf(question, answers)) {
      const ok = agree([...values.values()], question.tolerance);
      agreed &&= ok;
      lines.push({ "": name, ...Object.fromEntries(asked.map((source) => [source, values.get(source)])), ok: ok ? "✓" : "✗" });
    }
  }
  // One source alone agrees with itself: a tick would say nothing.
  const columns = withWarehouse ? ["", ...asked, "ok"] : ["", ...asked];
  return { table: formatTable(lines, columns), agreed };
}

export async function topPaths(client: WeirClient, range: DemoRange, count: number): Promise<string> {
  const { data } = await client.query({ metrics: ["top_paths.topK"], timeRange: range, source: "live" });
  const entries: unknown = data[0]?.["top_paths.topK"];
  if (!Array.isArray(entries)) return "";
  return formatTable(
    entries.slice(0, count).map((entry: unknown) => {
      const { key, count: hits } = entry as { key?: unknown; count?: unknown };
      return { path: formatCell(key), requests: hits };
    }),
  );
}

/** How many events of the range the warehouse has, as raw rows and as metric rows; 0 while it cannot answer. */
export async function warehouseCount(client: WeirClient, range: DemoRange): Promise<number> {
  let least = Infinity;
  for (const source of ["raw", "rollup"] as const) {
    const rows = await ask(client, { label: "", metric: "events.count", tolerance: 0 }, range, source);
    const count = rows[0]?.["events.count"];
    least = Math.min(least, typeof count === "number" ? count : 0);
  }
  return least;
}

async function ask(client: WeirClient, question: Question, range: DemoRange, source: Source): Promise<readonly QueryRow[]> {
  const { metric, dimension } = question;
  let answer: QueryAnswer;
  try {
    answer = await client.query({
      metrics: [metric],
      timeRange: range,
      source,
      ...(dimension !== undefined && { dimensions: [dimension] }),
    });
  } catch (error) {
    // This source has no answer to this question, or not yet; the connection itself failing is another matter.
    if (error instanceof ServerError && error.code !== "WEIR_INTERNAL") return [];
    throw error instanceof Error ? error : new WeirError("WEIR_INTERNAL", undefined, { cause: error });
  }
  return answer.data;
}

function linesOf(question: Question, answers: ReadonlyMap<Source, readonly QueryRow[]>) {
  const { label, metric, dimension } = question;
  const lines = new Map<string, Map<Source, unknown>>();
  for (const [source, rows] of answers) {
    for (const row of rows) {
      const name = dimension === undefined ? label : `${label}: ${formatCell(row[dimension])}`;
      const values = lines.get(name) ?? new Map<Source, unknown>();
      values.set(source, row[metric]);
      lines.set(name, values);
    }
  }
  return Array.from(lines, ([name, values]) => ({ name, values }));
}

function agree(values: readonly unknown[], tolerance: number): boolean {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.length !== values.length) return false;
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return most - least <= tolerance * most;
}
