/**
 * Who changed what: keys, metric definitions, exports; and lock-outs. One log for each tenant, and one of the server for what
 * has no tenant. An entry goes into the same commit as the change that it tells of, so there is neither without the other.
 *
 *   audit_log  [log, seq, writer] -> entry      seq rises by one; two processes at the same moment may both take a number,
 *                                               and `writer` keeps their entries apart
 *
 * Append-only and bounded: past `auditEntriesMax` numbers the oldest go, and the first number that is left tells how many went.
 * `Control` owns it.
 */
import { z } from "zod";
import type { TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { Store, StoreWrite } from "./ports.ts";

const AUDIT_LOG = "audit_log";
/** At most so many old entries go with one new one: a lowered limit is reached step by step. */
const REMOVED_AT_ONCE = 16;
const LAST_SEQ = Number.MAX_SAFE_INTEGER;

export const auditActions = [
  "key.create",
  "key.rotate",
  "key.revoke",
  "key.expire",
  "metric.define",
  "metric.delete",
  "export.start",
  "lock-out",
] as const;
export type AuditAction = (typeof auditActions)[number];

/** No tenant has this name. */
export const SERVER_LOG = "-server";
export type LogName = TenantId | typeof SERVER_LOG;

/** Who it was: `key:<id>`, `operator:<user>` at the command line, or `server`. */
export interface Author {
  readonly by: string;
  readonly remoteAddress?: string;
}

export interface Change extends Author {
  readonly atMs: number;
}

export interface AuditRecord extends Change {
  readonly action: AuditAction;
  /** What it was done to. Never a key, never an event. */
  readonly detail: Readonly<Record<string, string | number | readonly string[]>>;
}

export interface AuditEntry extends AuditRecord {
  readonly seq: number;
}

export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditEntry[];
  /** How many old ones are gone. */
  readonly removed: number;
}

const storedRecord = z.object({
  atMs: z.number(),
  // An older version reads what a newer one has written.
  action: z.string().transform((action) => action as AuditAction),
  by: z.string(),
  remoteAddress: z.string().exactOptional(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.array(z.string())])),
});

export class AuditLog {
  readonly #store: Store;
  readonly #writer: string;
  readonly #entriesMax: number;

  /** `writer` tells this process from others. */
  constructor(store: Store, writer: string, entriesMax: number = limits.auditEntriesMax) {
    this.#store = store;
    this.#writer = writer;
    this.#entriesMax = entriesMax;
  }

  /** The writes of one more entry; nothing else may be appended to this log before they are committed. */
  append(log: LogName, record: AuditRecord): { readonly writes: readonly StoreWrite[]; readonly removed: number } {
    const seq = this.#lastSeq(log) + 1;
    const writes: StoreWrite[] = [
      { table: AUDIT_LOG, key: [log, seq, this.#writer], value: Buffer.from(JSON.stringify(record)) },
    ];
    const old = this.#store.range(AUDIT_LOG, [log, 0], [log, seq - this.#entriesMax + 1], { limit: REMOVED_AT_ONCE });
    for (const { key } of old) writes.push({ table: AUDIT_LOG, key, value: undefined });
    return { writes, removed: writes.length - 1 };
  }

  /** Entries with a number below `before`, at most `limit`. */
  read(log: LogName, { limit, before = LAST_SEQ }: { limit: number; before?: number }): AuditPage {
    const range = this.#store.range(AUDIT_LOG, [log, 0], [log, before], { reverse: true, limit });
    const entries = [...range].map(({ key, value }) => ({
      seq: Number(key[1]),
      ...storedRecord.parse(JSON.parse(Buffer.from(value).toString())),
    }));
    return { entries, removed: this.#firstSeq(log) - 1 };
  }

  #lastSeq(log: LogName): number {
    for (const { key } of this.#store.range(AUDIT_LOG, [log, 0], [log, LAST_SEQ], { reverse: true, limit: 1 }))
      return Number(key[1]);
    return 0;
  }

  #firstSeq(log: LogName): number {
    for (const { key } of this.#store.range(AUDIT_LOG, [log, 0], [log, LAST_SEQ], { limit: 1 })) return Number(key[1]);
    return 1;
  }
}
