/**
 * The control store: tenants, API keys, metric definitions, the audit log, warehouse offsets. Nothing is cached here, so what one process
 * writes (a key revoked from the command line) the others see with their next read. Changes of one process go one after
 * another; two processes that change the same entry at once: the later one stands.
 * The server, the gateway's authentication, the warehouse writer and the command line use it.
 */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { WeirError } from "../protocol/error-codes.ts";
import { isTenantId, type TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import { defaultMetrics, metricDefinition, type MetricDefinition } from "../protocol/metric-definition.ts";
import type { Scope } from "./api-key.ts";
import { ApiKeys, type ApiKey, type KeyState, type NewKey } from "./api-keys.ts";
import { AuditLog, type AuditPage, type AuditRecord, type Author, type Change, type LogName } from "./audit-log.ts";
import { LmdbStore } from "./lmdb/store.ts";
import type { Store, StoreKey, StoreWrite } from "./ports.ts";

const TENANTS = "tenants";
const METRICS = "metrics";
const METRIC_CHANGES = "metric_changes";
const WAREHOUSE_OFFSETS = "warehouse_offsets";
const WAREHOUSE_MARKS = "warehouse_marks";
const WAREHOUSE_SERVER = "warehouse_server";

const tenantId = z.string().refine(isTenantId);
const storedCount = z.int().min(0);
const storedCounts = z.record(z.string(), storedCount);

/** At most so many keys are noted as expired in one commit. */
const EXPIRIES_AT_ONCE = 64;

export interface KeyOptions {
  readonly expiresMs?: number | undefined;
  readonly author?: Author;
}

/** Who makes a change when the caller does not say. */
const SERVER: Author = { by: "server" };

export class Control {
  #store: Store;
  readonly #reopen: (() => Store) | undefined;
  #keys: ApiKeys;
  #audit: AuditLog;
  #auditRemoved = 0;
  /** Under which this process counts its changes. */
  readonly #writer = randomUUID();
  #lastChange: Promise<unknown> = Promise.resolve();

  /** `reopen` opens it anew after a failed commit, on a full disk for one: the old one takes nothing more. */
  constructor(store: Store, reopen?: () => Store) {
    this.#store = store;
    this.#reopen = reopen;
    this.#keys = new ApiKeys(store);
    this.#audit = new AuditLog(store, this.#writer);
  }

  tenants(): readonly TenantId[] {
    return [...this.#store.range(TENANTS)].map(({ key }) => tenantId.parse(key[0]));
  }

  hasTenant(tenant: TenantId): boolean {
    return this.#store.get(TENANTS, [tenant]) !== undefined;
  }

  /** Makes the tenant, with the default metrics, unless it is there. True when it is new. */
  ensureTenant(tenant: TenantId, nowMs: number): Promise<boolean> {
    return this.#change(async () => {
      if (this.hasTenant(tenant)) return false;
      const metrics = defaultMetrics.map((definition) => put(METRICS, [tenant, definition.name], definition));
      await this.#commit([put(TENANTS, [tenant], { createdMs: nowMs }), ...metrics, this.#countChange(tenant)]);
      return true;
    });
  }

  /** Makes a key, and its tenant when it is not there. Rejects with WEIR_KEY_LIMIT. */
  async createKey(tenant: TenantId, scopes: readonly Scope[], nowMs: number, options: KeyOptions = {}): Promise<NewKey> {
    await this.ensureTenant(tenant, nowMs);
    return this.#change(async () => {
      const { made, writes } = this.#keys.create({ tenant, scopes, expiresMs: options.expiresMs }, nowMs);
      const detail = { keyId: made.keyId, scopes, ...(made.expiresMs !== undefined && { expiresMs: made.expiresMs }) };
      await this.#record(writes, tenant, { ...by(options.author, nowMs), action: "key.create", detail });
      return made;
    });
  }

  /** Whose key it is, also when it has expired (`expiresMs`); undefined when it is none. */
  verifyKey(key: string): ApiKey | undefined {
    return this.#keys.verify(key);
  }

  /** Of a key that was verified before. Cheap: for asking again and again on open connections. */
  keyState(keyId: string, nowMs: number): KeyState {
    return this.#keys.state(keyId, nowMs);
  }

  /** A new key now; the old one ends after the overlap. Rejects with WEIR_AUTH_KEY_UNKNOWN, _EXPIRED, WEIR_KEY_*. */
  rotateKey(
    keyId: string,
    overlapMs: number,
    nowMs: number,
    author?: Author,
  ): Promise<{ readonly made: NewKey; readonly old: ApiKey }> {
    return this.#change(async () => {
      const { made, old, writes } = this.#keys.rotate(keyId, overlapMs, nowMs);
      const detail = { keyId, newKeyId: made.keyId, expiresMs: old.expiresMs ?? nowMs };
      await this.#record(writes, made.tenant, { ...by(author, nowMs), action: "key.rotate", detail });
      return { made, old };
    });
  }

  /** False when there is no such key. */
  revokeKey(keyId: string, nowMs: number, author?: Author): Promise<boolean> {
    return this.#change(async () => {
      const key = this.#keys.get(keyId);
      if (key === undefined) return false;
      await this.#record(this.#keys.revoke(keyId), key.tenant, { ...by(author, nowMs), action: "key.revoke", detail: { keyId } });
      return true;
    });
  }

  /** Writes into the audit log which keys have expired. The server calls it now and then; nothing else follows from it. */
  noteExpiredKeys(nowMs: number): Promise<readonly ApiKey[]> {
    return this.#change(async () => {
      const { expired, writes } = this.#keys.due(nowMs, EXPIRIES_AT_ONCE);
      for (const { keyId, tenant, expiresMs = nowMs } of expired) {
        await this.#record([], tenant, { ...SERVER, atMs: nowMs, action: "key.expire", detail: { keyId, expiresMs } });
      }
      // Last: a crash before leaves an entry twice, not none.
      if (writes.length > 0) await this.#commit(writes);
      return expired;
    });
  }

  listKeys(tenant: TenantId): readonly ApiKey[] {
    return this.#keys.list(tenant);
  }

  hasKeys(): boolean {
    return this.#keys.hasAny();
  }

  /** Puts into the audit log what has no change of its own in this store. */
  record(log: LogName, record: AuditRecord): Promise<void> {
    return this.#change(() => this.#record([], log, record));
  }

  auditLog(log: LogName, options: { limit: number; before?: number }): AuditPage {
    return this.#audit.read(log, options);
  }

  /** Entries that this process has removed from audit logs because they were full. */
  get auditRemoved(): number {
    return this.#auditRemoved;
  }

  /** By name. */
  metrics(tenant: TenantId): readonly MetricDefinition[] {
    return [...this.#store.range(METRICS, [tenant, ""], [tenant, LAST_TEXT])].map(({ value }) => parse(metricDefinition, value));
  }

  metric(tenant: TenantId, name: string): MetricDefinition | undefined {
    return this.#read(METRICS, [tenant, name], metricDefinition);
  }

  /** Rejects with WEIR_METRIC_EXISTS when another definition has the name, WEIR_METRIC_LIMIT when the tenant is full. */
  putMetric(tenant: TenantId, definition: MetricDefinition, change: Change): Promise<"created" | "unchanged"> {
    return this.#change(async () => {
      const found = this.metric(tenant, definition.name);
      if (found !== undefined) {
        if (isDeepStrictEqual(found, metricDefinition.parse(definition))) return "unchanged";
        throw new WeirError("WEIR_METRIC_EXISTS", undefined, { path: "name" });
      }
      if (this.metrics(tenant).length >= limits.metricsPerTenantMax) throw new WeirError("WEIR_METRIC_LIMIT");
      const writes = [put(METRICS, [tenant, definition.name], definition), this.#countChange(tenant)];
      await this.#record(writes, tenant, { ...change, action: "metric.define", detail: { metric: definition.name } });
      return "created";
    });
  }

  /** False when there is no such metric. */
  removeMetric(tenant: TenantId, name: string, change: Change): Promise<boolean> {
    return this.#change(async () => {
      if (this.metric(tenant, name) === undefined) return false;
      const writes = [{ table: METRICS, key: [tenant, name], value: undefined }, this.#countChange(tenant)];
      await this.#record(writes, tenant, { ...change, action: "metric.delete", detail: { metric: name } });
      return true;
    });
  }

  /**
   * Rises with each change of the tenant's definitions, whichever process makes it: each counts its own changes under a key
   * of its own and this is their sum, so no two can overwrite each other's count.
   */
  definitionsVersion(tenant: TenantId): number {
    let version = 0;
    for (const { value } of this.#store.range(METRIC_CHANGES, [tenant, ""], [tenant, LAST_TEXT])) {
      version += parse(storedCount, value);
    }
    return version;
  }

  /** 0 for a stream that has none yet. */
  warehouseOffset(stream: string): number {
    return this.#read(WAREHOUSE_OFFSETS, [stream], storedCount) ?? 0;
  }

  /** All of them at once or none. */
  async setWarehouseOffsets(offsets: ReadonlyMap<string, number>): Promise<void> {
    await this.#commit([...offsets].map(([stream, offset]) => put(WAREHOUSE_OFFSETS, [stream], offset)));
  }

  /** Where the offsets stood at times in the past, oldest first. */
  warehouseMarks(): { timeMs: number; positions: Record<string, number> }[] {
    return [...this.#store.range(WAREHOUSE_MARKS)].map(({ key, value }) => {
      return { timeMs: Number(key[0]), positions: parse(storedCounts, value) };
    });
  }

  /** Adds a mark; forgets those before a time. */
  async markWarehouse(
    mark: { timeMs: number; positions: Readonly<Record<string, number>> },
    forgetBeforeMs: number,
  ): Promise<void> {
    const forgotten = this.warehouseMarks().filter(({ timeMs }) => timeMs < forgetBeforeMs);
    await this.#commit([
      ...forgotten.map(({ timeMs }): StoreWrite => ({ table: WAREHOUSE_MARKS, key: [timeMs], value: undefined })),
      put(WAREHOUSE_MARKS, [mark.timeMs], mark.positions),
    ]);
  }

  /** Which start of the warehouse's server the offsets are about; undefined before the first. */
  warehouseServer(): string | undefined {
    return this.#read(WAREHOUSE_SERVER, ["started"], z.string());
  }

  async setWarehouseServer(started: string): Promise<void> {
    await this.#commit([put(WAREHOUSE_SERVER, ["started"], started)]);
  }

  async close(): Promise<void> {
    await this.#lastChange.catch(() => undefined);
    await this.#store.close();
  }

  /** What a change reads stays true until its commit. */
  #change<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#lastChange.then(action);
    this.#lastChange = result.catch(() => undefined);
    return result;
  }

  /** The change and its audit entry in one commit. */
  async #record(writes: readonly StoreWrite[], log: LogName, record: AuditRecord): Promise<void> {
    const { writes: entry, removed } = this.#audit.append(log, record);
    await this.#commit([...writes, ...entry]);
    this.#auditRemoved += removed;
  }

  async #commit(writes: readonly StoreWrite[]): Promise<void> {
    const store = this.#store;
    try {
      await store.commit(writes);
    } catch (error) {
      // Once: what else waited for this commit fails with it.
      if (this.#reopen !== undefined && this.#store === store && store.hasFailed === true) {
        this.#store = this.#reopen();
        this.#keys = new ApiKeys(this.#store);
        this.#audit = new AuditLog(this.#store, this.#writer);
        await store.close();
      }
      throw error;
    }
  }

  #countChange(tenant: TenantId): StoreWrite {
    const key = [tenant, this.#writer];
    return put(METRIC_CHANGES, key, (this.#read(METRIC_CHANGES, key, storedCount) ?? 0) + 1);
  }

  #read<Schema extends z.ZodType>(table: string, key: StoreKey, schema: Schema): z.output<Schema> | undefined {
    const value = this.#store.get(table, key);
    return value === undefined ? undefined : parse(schema, value);
  }
}

/** Opens the control store at `DataDirectory.controlPath`. Any number of threads and processes may. */
export function openControl(path: string, { readOnly = false }: { readOnly?: boolean } = {}): Control {
  const open = (): Store => LmdbStore.open(path, { fresh: true, readOnly });
  return new Control(open(), open);
}

function by(author: Author | undefined, atMs: number): Change {
  return { ...(author ?? SERVER), atMs };
}

/** After every metric name and writer id. */
const LAST_TEXT = "\u{10ffff}";
const decoder = new TextDecoder();

function put(table: string, key: StoreKey, value: unknown): StoreWrite {
  return { table, key, value: Buffer.from(JSON.stringify(value)) };
}

function parse<Schema extends z.ZodType>(schema: Schema, value: Uint8Array): z.output<Schema> {
  return schema.parse(JSON.parse(decoder.decode(value)));
}
