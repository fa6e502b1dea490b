/**
 * API keys in the control store: by their ids, with hashes only.
 *
 *   api_keys      [keyId] -> {tenant, scopes, hashHex, createdMs, expiresMs?, replacedBy?}
 *   key_expiries  [expiresMs, keyId]: what to note in the audit log when its time has come
 *
 * A key is valid until it is revoked (its entry is gone) or its `expiresMs` is reached. Methods read, and give the writes that
 * change something; `Control` commits them, one change after another.
 */
import { z } from "zod";
import { WeirError } from "../protocol/error-codes.ts";
import { isTenantId, type TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import { generateKey, hashKey, sameHash, scopes, type Scope } from "./api-key.ts";
import type { Store, StoreWrite } from "./ports.ts";

const API_KEYS = "api_keys";
const KEY_EXPIRIES = "key_expiries";

const storedKey = z.object({
  tenant: z.string().refine(isTenantId),
  scopes: z.array(z.enum(scopes)),
  hashHex: z.string(),
  createdMs: z.number(),
  expiresMs: z.number().exactOptional(),
  replacedBy: z.string().exactOptional(),
});
type StoredKey = z.output<typeof storedKey>;

export interface ApiKey {
  readonly keyId: string;
  readonly tenant: TenantId;
  readonly scopes: readonly Scope[];
  readonly createdMs: number;
  /** From then on it is not valid. */
  readonly expiresMs?: number;
  /** The id of the key that a rotation made for it. */
  readonly replacedBy?: string;
}

/** `key` is in the answer and nowhere else: it cannot be read again. */
export type NewKey = ApiKey & { readonly key: string };

export type KeyState = "valid" | "expired" | "unknown";

export interface KeyGrant {
  readonly tenant: TenantId;
  readonly scopes: readonly Scope[];
  readonly expiresMs?: number | undefined;
}

/** What an unknown id is compared with, so that it takes the path of a known one. Nobody has the key of this hash. */
const decoy = Buffer.from(JSON.stringify({ tenant: "decoy", scopes, hashHex: "0".repeat(64), createdMs: 0 }));

export class ApiKeys {
  readonly #store: Store;
  readonly #perTenantMax: number;

  constructor(store: Store, perTenantMax: number = limits.keysPerTenantMax) {
    this.#store = store;
    this.#perTenantMax = perTenantMax;
  }

  /** Whose key it is, expired or not; undefined when it is none. The time that it takes does not depend on the key. */
  verify(key: string): ApiKey | undefined {
    const hash = hashKey(key);
    if (hash === undefined) return undefined;
    const value = this.#store.get(API_KEYS, [hash.keyId]);
    const { hashHex, ...stored } = parse(value ?? decoy);
    const same = sameHash(hashHex, hash.hashHex);
    return value !== undefined && same ? { keyId: hash.keyId, ...stored } : undefined;
  }

  state(keyId: string, nowMs: number): KeyState {
    const stored = this.#read(keyId);
    if (stored === undefined) return "unknown";
    return isExpired(stored, nowMs) ? "expired" : "valid";
  }

  get(keyId: string): ApiKey | undefined {
    const stored = this.#read(keyId);
    return stored === undefined ? undefined : shown(keyId, stored);
  }

  list(tenant: TenantId): readonly ApiKey[] {
    const keys: ApiKey[] = [];
    for (const { key, value } of this.#store.range(API_KEYS)) {
      const stored = parse(value);
      if (stored.tenant === tenant) keys.push(shown(String(key[0]), stored));
    }
    return keys;
  }

  hasAny(): boolean {
    for (const _key of this.#store.range(API_KEYS, undefined, undefined, { limit: 1 })) return true;
    return false;
  }

  /** Throws WEIR_KEY_LIMIT when the tenant has as many keys as it may; expired ones make room. */
  create({ tenant, scopes: granted, expiresMs }: KeyGrant, nowMs: number): { made: NewKey; writes: readonly StoreWrite[] } {
    const room = this.#makeRoom(tenant, nowMs);
    let { key, keyId, hashHex } = generateKey(tenant);
    while (this.#read(keyId) !== undefined) ({ key, keyId, hashHex } = generateKey(tenant)); // the id of another, once in 2^64
    const stored = { tenant, scopes: [...granted], hashHex, createdMs: nowMs, ...(expiresMs !== undefined && { expiresMs }) };
    return { made: { ...shown(keyId, stored), key }, writes: [...room, ...putKey(keyId, stored)] };
  }

  /**
   * A new key with the scopes and the lifetime of the old one, which ends after the overlap, or sooner when it would have.
   * Throws WEIR_AUTH_KEY_UNKNOWN, WEIR_AUTH_KEY_EXPIRED and, the second time, WEIR_KEY_REPLACED.
   */
  rotate(keyId: string, overlapMs: number, nowMs: number): { made: NewKey; old: ApiKey; writes: readonly StoreWrite[] } {
    const stored = this.#read(keyId);
    if (stored === undefined) throw new WeirError("WEIR_AUTH_KEY_UNKNOWN");
    if (isExpired(stored, nowMs)) throw new WeirError("WEIR_AUTH_KEY_EXPIRED");
    const { tenant, createdMs, expiresMs, replacedBy } = stored;
    if (replacedBy !== undefined) throw new WeirError("WEIR_KEY_REPLACED", `The new one is ${replacedBy}.`);
    const lifetime = expiresMs === undefined ? undefined : nowMs + expiresMs - createdMs;
    const { made, writes } = this.create({ tenant, scopes: stored.scopes, expiresMs: lifetime }, nowMs);
    const endsMs = Math.min(expiresMs ?? Number.POSITIVE_INFINITY, nowMs + overlapMs);
    const ending = { ...stored, expiresMs: endsMs, replacedBy: made.keyId };
    return { made, old: shown(keyId, ending), writes: [...writes, ...putKey(keyId, ending)] };
  }

  /** Its note of an expiry stays behind and comes to nothing. */
  revoke(keyId: string): readonly StoreWrite[] {
    return [{ table: API_KEYS, key: [keyId], value: undefined }];
  }

  /** Keys that have expired since this was last asked and the writes were committed; at most `limit` notes are looked at. */
  due(nowMs: number, limit: number): { expired: readonly ApiKey[]; writes: readonly StoreWrite[] } {
    const expired: ApiKey[] = [];
    const writes: StoreWrite[] = [];
    for (const { key } of this.#store.range(KEY_EXPIRIES, [0], [nowMs + 1], { limit })) {
      const [expiresMs, keyId] = [Number(key[0]), String(key[1])];
      writes.push({ table: KEY_EXPIRIES, key, value: undefined });
      const stored = this.#read(keyId);
      // Revoked, or ended sooner by a rotation, which has a note of its own.
      if (stored?.expiresMs === expiresMs) expired.push(shown(keyId, stored));
    }
    return { expired, writes };
  }

  #makeRoom(tenant: TenantId, nowMs: number): readonly StoreWrite[] {
    const keys = this.list(tenant);
    if (keys.length < this.#perTenantMax) return [];
    const [oldest] = keys
      .filter((key) => isExpired(key, nowMs))
      .toSorted((left, right) => (left.expiresMs ?? 0) - (right.expiresMs ?? 0));
    if (oldest === undefined) throw new WeirError("WEIR_KEY_LIMIT");
    return this.revoke(oldest.keyId);
  }

  #read(keyId: string): StoredKey | undefined {
    const value = this.#store.get(API_KEYS, [keyId]);
    return value === undefined ? undefined : parse(value);
  }
}

function isExpired({ expiresMs }: { readonly expiresMs?: number }, nowMs: number): boolean {
  return expiresMs !== undefined && expiresMs <= nowMs;
}

function shown(keyId: string, { hashHex: _secret, ...stored }: StoredKey): ApiKey {
  return { keyId, ...stored };
}

function putKey(keyId: string, stored: StoredKey): readonly StoreWrite[] {
  const writes: StoreWrite[] = [{ table: API_KEYS, key: [keyId], value: Buffer.from(JSON.stringify(stored)) }];
  if (stored.expiresMs !== undefined) {
    writes.push({ table: KEY_EXPIRIES, key: [stored.expiresMs, keyId], value: new Uint8Array(0) });
  }
  return writes;
}

function parse(value: Uint8Array): StoredKey {
  return storedKey.parse(JSON.parse(Buffer.from(value).toString()));
}
