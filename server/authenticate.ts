/**
 * Who is asking. A key comes in the Authorization header or in a WebSocket's `hello`, never in a URL; it is handed to the
 * control store, which knows keys by their hashes, and is kept nowhere else and logged nowhere.
 * Wrong keys are counted by where they come from (`lock-out.ts`); while an address is locked out no key of it is looked at.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { hashKey, keyPattern } from "../storage/api-key.ts";
import { SERVER_LOG } from "../storage/audit-log.ts";
import type { ClientAddress } from "./client-address.ts";
import { LockOut, type LockOutLimits } from "./lock-out.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Control, KeyOwner, Scope } from "./services.ts";

/** Lock-outs that wait to be written into the audit log; more are only counted. */
const PENDING_RECORDS_MAX = 16;

export interface AuthenticatorOptions {
  readonly control: Pick<Control, "verifyKey" | "record">;
  readonly limits: LockOutLimits;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  now(): number;
}

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #lockOut: LockOut;
  #pendingRecords = 0;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#lockOut = new LockOut(options.limits);
  }

  /** The owner of the key in an Authorization header; undefined when there is no header. Throws WEIR_AUTH_*. */
  ownerOfHeader(header: string, from: ClientAddress): KeyOwner | undefined {
    if (header === "") return undefined;
    const [scheme, key, ...rest] = header.split(" ");
    if (scheme?.toLowerCase() !== "bearer" || key === undefined || rest.length > 0) {
      throw new WeirError("WEIR_AUTH_KEY_UNKNOWN", "The header reads `Authorization: Bearer KEY`.", { path: "authorization" });
    }
    return this.ownerOfKey(key, from);
  }

  /** Throws WEIR_AUTH_KEY_UNKNOWN, WEIR_AUTH_KEY_EXPIRED and WEIR_AUTH_LOCKED_OUT. */
  ownerOfKey(key: string, from: ClientAddress): KeyOwner {
    const { control, now } = this.#options;
    const nowMs = now();
    if (from.group !== undefined) this.#lockOut.check(from.group, nowMs);
    const owner = control.verifyKey(key);
    if (owner === undefined) {
      this.#countWrongKey(key, from, nowMs);
      throw new WeirError("WEIR_AUTH_KEY_UNKNOWN");
    }
    if (owner.expiresMs !== undefined && owner.expiresMs <= nowMs) throw new WeirError("WEIR_AUTH_KEY_EXPIRED");
    return owner;
  }

  #countWrongKey(key: string, { group, text }: ClientAddress, nowMs: number): void {
    const { limits, metrics, log } = this.#options;
    const keyId = hashKey(key)?.keyId ?? "too long";
    if (group === undefined || !this.#lockOut.wrongKey(group, keyId, nowMs)) return;
    metrics.lockedOut();
    log.warn({ remoteAddress: text, lockOutMs: limits.lockOutMs }, "address locked out after many wrong keys");
    this.#record(key, keyId, text, nowMs);
  }

  /** Into the server's log: a tenant's own could otherwise be filled by whoever guesses its keys. */
  #record(key: string, keyId: string, remoteAddress: string, atMs: number): void {
    if (this.#pendingRecords >= PENDING_RECORDS_MAX) return;
    this.#pendingRecords++;
    const [, tenant] = /^weir_([a-z0-9][a-z0-9-]{0,63})_/.exec(key) ?? [];
    const detail = { keyId, ...(tenant !== undefined && { claimedTenant: tenant }) };
    this.#options.control
      .record(SERVER_LOG, { atMs, by: "server", remoteAddress, action: "lock-out", detail })
      .catch((error: unknown) => this.#options.log.error({ err: error }, "audit entry failed"))
      .finally(() => this.#pendingRecords--);
  }
}

/** Names under which other services take keys in a URL. */
const keyParameters: ReadonlySet<string> = new Set([
  "key",
  "api_key",
  "apikey",
  "api-key",
  "access_token",
  "token",
  "authorization",
]);

/** `query` is the raw query string. Throws WEIR_AUTH_KEY_IN_URL, whether the key is right or not. */
export function refuseKeyInUrl(query: string): void {
  if (query === "") return;
  for (const [name, value] of new URLSearchParams(query)) {
    if (keyParameters.has(name.toLowerCase()) || value.search(keyPattern) >= 0 || name.search(keyPattern) >= 0) {
      throw new WeirError("WEIR_AUTH_KEY_IN_URL");
    }
  }
}

export function requireScope(owner: KeyOwner, scope: Scope): void {
  if (!hasScope(owner, scope)) throw new WeirError("WEIR_AUTH_SCOPE_MISSING", `It takes the scope \`${scope}\`.`);
}

/** `admin` includes the other two. */
export function hasScope(owner: KeyOwner, scope: Scope): boolean {
  return owner.scopes.includes(scope) || owner.scopes.includes("admin");
}
