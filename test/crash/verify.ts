/** What a crash test asks a server and its warehouse, and how the answers compare with the books. */
import { setTimeout as delay } from "node:timers/promises";
import type { WeirClient } from "../../client/index.ts";
import { MINUTE_MS } from "../../protocol/windows.ts";
import type { QuestDbHttp } from "../../storage/questdb/http.ts";
import { MINUTE_EVENTS, type Acked, type Books, type Cell, type Comparison } from "./books.ts";

/** Rows that have not moved for so long have arrived, or never will. */
const STANDSTILL_MS = 20_000;
const POLL_MS = 250;
/** Six rows a minute of event time, and an answer has at most 10,000. */
const MINUTES_PER_QUERY = 1_000;
const EVENTS_PER_QUERY = 50_000;

/** In [from, to), counted in numbers of events; both at whole minutes, but for the end. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export async function compareCells(
  client: WeirClient,
  books: Books,
  source: "live" | "rollup",
  range: Range,
): Promise<Comparison> {
  const acked = books.copy();
  const cells: Cell[] = [];
  for (let from = range.from; from < range.to; from += MINUTES_PER_QUERY * MINUTE_EVENTS) {
    const fromMs = books.timeOf(from);
    const { data, metadata } = await client.query({
      metrics: ["cells.count", "cells.sum"],
      dimensions: ["part"],
      granularity: "1m",
      timeRange: { from: fromMs, to: fromMs + MINUTES_PER_QUERY * MINUTE_MS },
      source,
    });
    if (metadata.truncated) throw new Error("the answer is not whole");
    for (const row of data) {
      cells.push({
        timeMs: Date.parse(String(row["time"])),
        part: String(row["part"]),
        count: Number(row["cells.count"]),
        sum: Number(row["cells.sum"]),
      });
    }
  }
  return books.compareCells(cells, acked, range.from, range.to);
}

export async function compareRawRows(questdb: QuestDbHttp, tenant: string, books: Books, acked: Acked): Promise<Comparison> {
  const found: [string, number][] = [];
  const ids = `SELECT event_id, count() FROM events WHERE tenant = '${tenant}'`;
  for (let from = 0; from < books.sentCount; from += EVENTS_PER_QUERY) {
    const span = [from, from + EVENTS_PER_QUERY].map((n) => `'${new Date(books.timeOf(n)).toISOString()}'`);
    const { rows } = await questdb.exec(`${ids} AND ts >= ${span[0]} AND ts < ${span[1]} GROUP BY event_id`);
    for (const [eventId, times] of rows) found.push([String(eventId), Number(times)]);
  }
  return books.compareIds(found, acked, 0, books.sentCount);
}

/** What is wrong with the ledger, given what is acknowledged before and sent after. */
export async function ledgerProblems(client: WeirClient, books: Books): Promise<string[]> {
  const acked = books.count;
  const { ledger } = await client.deadLetters({ limit: 1 });
  const { accepted, late, invalid, imbalance } = ledger;
  const problems: string[] = [];
  if (imbalance !== 0) problems.push(`the ledger is off by ${imbalance}`);
  if (late + invalid > 0) problems.push(`${late} late and ${invalid} invalid events, none were sent`);
  if (accepted < acked) problems.push(`${accepted} accepted of ${acked} acknowledged`);
  if (accepted > books.sentCount) problems.push(`${accepted} accepted of ${books.sentCount} sent`);
  return problems;
}

/** Events that session rows count. */
export async function sessionRowEvents(questdb: QuestDbHttp, tenant: string): Promise<number> {
  const { rows } = await questdb.exec(`SELECT sum(events) FROM sessions WHERE tenant = '${tenant}' AND state != 'superseded'`);
  return Number(rows[0]?.[0] ?? 0);
}

/** Reads again and again until nothing is off, or until that number has not changed for long. Errors are of the moment too. */
export async function settled<Answer>(read: () => Promise<Answer>, off: (answer: Answer) => number): Promise<Answer> {
  let before: number | undefined;
  let movedMs = Date.now();
  for (;;) {
    const answer = await read().catch((error: unknown) => {
      if (Date.now() - movedMs > STANDSTILL_MS) throw error;
      return undefined;
    });
    const now = answer === undefined ? before : off(answer);
    if (now !== before) movedMs = Date.now();
    before = now;
    if (answer !== undefined && (now === 0 || Date.now() - movedMs > STANDSTILL_MS)) return answer;
    await delay(POLL_MS);
  }
}
