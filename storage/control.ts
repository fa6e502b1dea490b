/**
 * The control store: tenants, API keys, metric definitions, warehouse offsets. Nothing is cached here, so what one process
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
import { generateKey, hashKey, sameHash, scopes, type Scope } from "./api-key.ts";
import { LmdbStore } from "./lmdb/store.ts";
import type { Store, StoreKey, StoreWrite } from "./ports.ts";

const TENANTS = "tenants";
const API_KEYS = "api_keys";
const METRICS = "metrics";
const METRIC_CHANGES = "metric_changes";
const WAREHOUSE_OFFSETS = "warehouse_offsets";
const WAREHOUSE_MARKS = "warehouse_marks";
const WAREHOUSE_SERVER = "warehouse_server";

const tenantId = z.string().refine(isTenantId);
const storedKey = z.object({ tenant: tenantId, scopes: z.array(z.enum(scopes)), hashHex: z.string(), createdMs: z.number() });
const storedCount = z.int().min(0);
const storedCounts = z.record(z.string(), storedCount);

export interface ApiKey {
  readonly keyId: string;
  readonly tenant: TenantId;
  readonly scopes: readonly Scope[];
  readonly createdMs: number;
}

export class Control {
  #store: Store;
  readonly #reopen: (() => Store) | undefined;
  /** Under which this process counts its changes. */
  readonly #writer = randomUUID();
  #lastChange: Promise<unknown> = Promise.resolve();

  /** `reopen` opens it anew after a failed commit, on a full disk for one: the old one takes nothing more. */
  constructor(store: Store, reopen?: () => Store) {
    this.#store = store;
    this.#reopen = reopen;
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

  /** Makes a key, and its tenant when it is not there. `key` is in the answer and nowhere else: it cannot be read again. */
  async createKey(tenant: TenantId, scopesGranted: readonly Scope[], nowMs: number): Promise<ApiKey & { readonly key: string }> {
    await this.ensureTenant(tenant, nowMs);
    return this.#change(async () => {
      let { key, keyId, hashHex } = generateKey(tenant);
      while (this.isKeyValid(keyId)) ({ key, keyId, hashHex } = generateKey(tenant)); // the id of another, once in 2^64
      const stored = { tenant, scopes: [...scopesGranted], createdMs: nowMs };
      await this.#commit([put(API_KEYS, [keyId], { ...stored, hashHex })]);
      return { ...stored, keyId, key };
    });
  }

  /** Whose key it is; undefined when it is none. What it takes depends only on whether the key's id is known. */
  verifyKey(key: string): ApiKey | undefined {
    const hash = hashKey(key);
    if (hash === undefined) return undefined;
    const stored = this.#read(API_KEYS, [hash.keyId], storedKey);
    if (stored === undefined || !sameHash(stored.hashHex, hash.hashHex)) return undefined;
    return { keyId: hash.keyId, tenant: stored.tenant, scopes: stored.scopes, createdMs: stored.createdMs };
  }

  /** Whether a key that was verified before still is. Cheap: for asking again and again on open connections. */
  isKeyValid(keyId: string): boolean {
    return this.#store.get(API_KEYS, [keyId]) !== undefined;
  }

  /** False when there is no such key. */
  revokeKey(keyId: string): Promise<boolean> {
    return this.#change(async () => {
      if (!this.isKeyValid(keyId)) return false;
      await this.#commit([{ table: API_KEYS, key: [keyId], value: undefined }]);
      return true;
    });
  }

  listKeys(tenant: TenantId): readonly ApiKey[] {
    const keys: ApiKey[] = [];
    for (const { key, value } of this.#store.range(API_KEYS)) {
      const { hashHex: _secret, ...stored } = parse(storedKey, value);
      if (stored.tenant === tenant) keys.push({ keyId: String(key[0]), ...stored });
    }
    return keys;
  }

  hasKeys(): boolean {
    for (const _key of this.#store.range(API_KEYS, undefined, undefined, { limit: 1 })) return true;
    return false;
  }

  /** By name. */
  metrics(tenant: TenantId): readonly MetricDefinition[] {
    return [...this.#store.range(METRICS, [tenant, ""], [tenant, LAST_TEXT])].map(({ value }) => parse(metricDefinition, value));
  }

  metric(tenant: TenantId, name: string): MetricDefinition | undefined {
    return this.#read(METRICS, [tenant, name], metricDefinition);
  }

  /** Throws WEIR_METRIC_EXISTS when another definition has the name, WEIR_METRIC_LIMIT when the tenant is full. */
  putMetric(tenant: TenantId, definition: MetricDefinition): Promise<"created" | "unchanged"> {
    return this.#change(async () => {
      const found = this.metric(tenant, definition.name);
      if (found !== undefined) {
        if (isDeepStrictEqual(found, metricDefinition.parse(definition))) return "unchanged";
        throw new WeirError("WEIR_METRIC_EXISTS", undefined, { path: "name" });
      }
      if (this.metrics(tenant).length >= limits.metricsPerTenantMax) throw new WeirError("WEIR_METRIC_LIMIT");
      await this.#commit([put(METRICS, [tenant, definition.name], definition), this.#countChange(tenant)]);
      return "created";
    });
  }

  /** False when there is no such metric. */
  removeMetric(tenant: TenantId, name: string): Promise<boolean> {
    return this.#change(async () => {
      if (this.metric(tenant, name) === undefined) return false;
      await this.#commit([{ table: METRICS, key: [tenant, name], value: undefined }, this.#countChange(tenant)]);
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

  async #commit(writes: readonly StoreWrite[]): Promise<void> {
    const store = this.#store;
    try {
      await store.commit(writes);
    } catch (error) {
      // Once: what else waited for this commit fails with it.
      if (this.#reopen !== undefined && this.#store === store && store.hasFailed === true) {
        this.#store = this.#reopen();
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

/** After every metric name and writer id. */
const LAST_TEXT = "\u{10ffff}";
const decoder = new TextDecoder();

function put(table: string, key: StoreKey, value: unknown): StoreWrite {
  return { table, key, value: Buffer.from(JSON.stringify(value)) };
}

function parse<Schema extends z.ZodType>(schema: Schema, value: Uint8Array): z.output<Schema> {
  return schema.parse(JSON.parse(decoder.decode(value)));
}
