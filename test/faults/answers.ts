/**
 * Everything that a server shows of a tenant's events, as texts that can be compared: what the books cannot tell (types,
 * sessions, users) shows here when it is different from what it was.
 */
import { createHash } from "node:crypto";
import type { WeirClient } from "../../client/index.ts";
import type { Offset } from "../../protocol/ids.ts";
import { openJournalReader } from "../../storage/lmdb/journal.ts";
import type { Books } from "../crash/books.ts";

export type Answers = Readonly<Record<string, string>>;

const questions = [
  { metrics: ["events.count"] },
  { metrics: ["active_sessions.distinct"] },
  { metrics: ["active_users.distinct"] },
  { metrics: ["events_by_type_and_country.count"], dimensions: ["eventType", "country"] },
  { metrics: ["cells.count", "cells.sum"], dimensions: ["part"] },
];

export async function answersOf(client: WeirClient, books: Books): Promise<Answers> {
  const timeRange = { from: books.baseMs, to: books.endMs };
  const answers: Record<string, string> = {};
  for (const question of questions) {
    const { data } = await client.query({ ...question, granularity: "1m", timeRange, source: "live" });
    answers[question.metrics.join()] = JSON.stringify(data);
  }
  const { ledger } = await client.deadLetters({ limit: 1 });
  answers["ledger"] = JSON.stringify(ledger);
  return answers;
}

export function differences(before: Answers, after: Answers): string[] {
  return Object.keys(before).filter((name) => before[name] !== after[name]);
}

/** Of a host's journal: one hash a record. Rows for the warehouse are made of these bytes. */
export function recordHashes(path: string): string[] {
  const journal = openJournalReader(path, { readOnly: true });
  try {
    return [...journal.read(1 as Offset)].map(({ record }) => createHash("sha1").update(record).digest("base64"));
  } finally {
    void journal.close();
  }
}
