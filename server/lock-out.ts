/**
 * Slows down who guesses keys: after `wrongKeysMax` different wrong keys within a window, an address gets no answer about keys
 * for a while, right or wrong ones. Different ones, because a service that goes on with a revoked key is no guesser and must
 * not lock out others behind the same address. Connections that are open stay open.
 *
 *   no entry --wrong key--> counting --one key too many--> locked --lockOutMs--> no entry
 *                              +-------window is over------------------------------^
 *
 * Bounded: past `lockOutAddressesMax` the entry that was made or locked first is forgotten.
 */
import { WeirError } from "../protocol/error-codes.ts";

export interface LockOutLimits {
  readonly wrongKeysMax: number;
  readonly wrongKeyWindowMs: number;
  readonly lockOutMs: number;
  readonly lockOutAddressesMax: number;
}

interface Entry {
  readonly untilMs: number;
  /** undefined when locked. */
  readonly wrongKeys: Set<string> | undefined;
}

export class LockOut {
  readonly #limits: LockOutLimits;
  readonly #entries = new Map<string, Entry>();

  constructor(limits: LockOutLimits) {
    this.#limits = limits;
  }

  get addresses(): number {
    return this.#entries.size;
  }

  /** Throws WEIR_AUTH_LOCKED_OUT, with how long it lasts. */
  check(group: string, nowMs: number): void {
    const entry = this.#entry(group, nowMs);
    if (entry === undefined || entry.wrongKeys !== undefined) return;
    throw new WeirError("WEIR_AUTH_LOCKED_OUT", undefined, { retryAfterMs: entry.untilMs - nowMs });
  }

  /** `keyId` tells wrong keys apart. True when this one locks the address out. */
  wrongKey(group: string, keyId: string, nowMs: number): boolean {
    const { wrongKeysMax, wrongKeyWindowMs, lockOutMs } = this.#limits;
    const entry = this.#entry(group, nowMs);
    if (entry === undefined) {
      this.#put(group, { untilMs: nowMs + wrongKeyWindowMs, wrongKeys: new Set([keyId]) });
      return false;
    }
    if (entry.wrongKeys === undefined) return false;
    entry.wrongKeys.add(keyId);
    if (entry.wrongKeys.size <= wrongKeysMax) return false;
    this.#put(group, { untilMs: nowMs + lockOutMs, wrongKeys: undefined });
    return true;
  }

  #entry(group: string, nowMs: number): Entry | undefined {
    const entry = this.#entries.get(group);
    if (entry === undefined || nowMs < entry.untilMs) return entry;
    this.#entries.delete(group);
    return undefined;
  }

  #put(group: string, entry: Entry): void {
    this.#entries.delete(group);
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size >= this.#limits.lockOutAddressesMax) this.#entries.delete(oldest);
    this.#entries.set(group, entry);
  }
}
