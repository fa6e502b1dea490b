/**
 * The audit: does the ledger balance (promise 4)? received = accepted + duplicate + late + invalid; every late or invalid event
 * is a dead letter; accepted events are in the live panes, in the metric rows and in the raw rows.
 * Offline it reads a data directory, as of its last snapshots; beside a running server it asks over HTTP.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { DAY_MS } from "../protocol/windows.ts";
import { readPartitionMeta } from "../actors/partition.ts";
import { readDataDirectory } from "../storage/data-directory.ts";
import { openJournalReader } from "../storage/lmdb/journal.ts";
import { LmdbStore } from "../storage/lmdb/store.ts";
import { decodeRecord } from "../protocol/records.ts";
import type { Offset } from "../protocol/ids.ts";

export interface AuditOptions {
  /** A data directory whose server is stopped. */
  readonly data?: string;
  /** A running server, and an admin key for it. */
  readonly url?: string;
  readonly key?: string;
}

export interface AuditCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly expected: unknown;
  readonly actual: unknown;
}

export interface AuditReport {
  readonly checks: readonly AuditCheck[];
  readonly ok: boolean;
}

interface Ledger {
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
}

/** How long a running server gets to bring its rows to the warehouse before a difference counts. */
const SETTLE_MS = 15_000;
const SETTLE_POLL_MS = 500;

export async function runAudit(options: AuditOptions): Promise<AuditReport> {
  const checks =
    options.data === undefined ? await auditServer(options.url ?? "", options.key) : await auditDirectory(options.data);
  return { checks, ok: checks.every(({ ok }) => ok) };
}

function check(name: string, expected: unknown, actual: unknown): AuditCheck {
  return { name, expected, actual, ok: expected === actual };
}

function ledgerCheck(name: string, { received, accepted, duplicate, late, invalid }: Ledger): AuditCheck {
  return check(`${name}: received = accepted + duplicate + late + invalid`, received, accepted + duplicate + late + invalid);
}

async function auditDirectory(path: string): Promise<AuditCheck[]> {
  const directory = readDataDirectory(path);
  const checks: AuditCheck[] = [];
  let received = 0;
  const covered = new Map<number, number>();
  for (let id = 0; id < directory.partitionCount; id++) {
    const store = LmdbStore.open(directory.partitionPath(id), { fresh: true });
    try {
      const meta = readPartitionMeta(store);
      if (meta === undefined) continue;
      covered.set(meta.host, Math.min(covered.get(meta.host) ?? Number.POSITIVE_INFINITY, meta.offset));
      for (const { tenant, ledger } of meta.tenants) {
        received += ledger.received;
        checks.push(ledgerCheck(`partition ${id}, ${tenant}`, ledger));
        const letters = [...store.range("dead-letters", [tenant], [`${tenant}\0`])].length;
        checks.push(check(`partition ${id}, ${tenant}: late + invalid = dead letters`, ledger.late + ledger.invalid, letters));
      }
    } finally {
      await store.close();
    }
  }
  checks.push(...(await journalChecks(directory, received, covered)));
  return checks;
}

/** Only a journal from which nothing was trimmed, and whose every record the snapshots cover, can be counted against them. */
async function journalChecks(
  directory: ReturnType<typeof readDataDirectory>,
  received: number,
  covered: ReadonlyMap<number, number>,
): Promise<AuditCheck[]> {
  let journaled = 0;
  for (const host of directory.existingHosts()) {
    const journal = openJournalReader(directory.hostPath(host));
    try {
      const { first, last } = journal.ends();
      if (first !== 1 || (covered.get(host) ?? last) !== last) return [];
      for (const { record } of journal.read(1 as Offset)) {
        const decoded = decodeRecord(record);
        if (decoded.kind === "frame") journaled += decoded.verdicts.length;
      }
    } finally {
      await journal.close();
    }
  }
  return [check("journal: verdicts = received", journaled, received)];
}

async function auditServer(url: string, key: string | undefined): Promise<AuditCheck[]> {
  const call = caller(url, key);
  const { ledger } = (await call("GET", "/v1/dead-letters?limit=1")) as { ledger: Ledger };
  const checks = [ledgerCheck("ledger", ledger)];
  const { warehouse } = (await call("GET", "/readyz")) as { warehouse: string };
  const sources = warehouse === "ready" ? (["live", "rollup", "raw"] as const) : (["live"] as const);
  const names = { live: "live panes", rollup: "metric rows", raw: "raw rows" };
  for (const source of sources) {
    const count = await settledCount(call, source, ledger.accepted);
    checks.push(check(`${names[source]}: count = accepted`, ledger.accepted, count));
  }
  return checks;
}

/** The count of the metric `events` over all time; asked again for a while when rows are still on their way. */
async function settledCount(call: Call, source: string, expected: number): Promise<number> {
  const end = Date.now() + (source === "live" ? 0 : SETTLE_MS);
  for (;;) {
    const timeRange = { from: Date.UTC(2000, 0, 1), to: Date.now() + DAY_MS };
    const body = { metrics: ["events.count"], timeRange, source, granularity: "all" };
    const { data } = (await call("POST", "/v1/query", body)) as { data: { "events.count": number }[] };
    const count = data[0]?.["events.count"] ?? 0;
    if (count === expected || Date.now() >= end) return count;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
  }
}

type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;

function caller(url: string, key: string | undefined): Call {
  return async (method, path, body) => {
    const headers = { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    const response = await fetch(new URL(path, url), init).catch((cause: unknown) => {
      throw new WeirError("WEIR_CLIENT_UNREACHABLE", url, { cause });
    });
    const answer = (await response.json()) as { code?: string; detail?: string };
    if (response.ok) return answer;
    throw new WeirError(response.status === 401 ? "WEIR_AUTH_KEY_UNKNOWN" : "WEIR_QUERY_FAILED", answer.detail ?? answer.code);
  };
}
