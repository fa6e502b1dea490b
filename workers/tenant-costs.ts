/**
 * What the bytes of each tenant cost, as measured in the turns before, and who owes time to the others. Nothing is known of a
 * tenant before its first turn; then its bytes cost what they did lately. A tenant that took more than its share owes the rest
 * and gets less of the next turns; time that it did not use is not kept for later. Bounded: the ones seen longest ago go.
 */
import type { TenantId } from "../protocol/ids.ts";

interface Cost {
  nsPerByte: number;
  /** Time that it may still take; below 0: what it owes. */
  leftMs: number;
}

/** How much a turn counts beside all before it. */
const NEWEST_WEIGHT = 0.3;
const PAUSE_FACTOR = 2;
const NS_PER_MS = 1e6;
/** Nobody owes more: a tenant that sent one monstrous frame comes again. */
const DEBT_MS_MAX = 1_000;
const TENANTS_MAX = 10_000;

export class TenantCosts {
  readonly #costs = new Map<TenantId, Cost>();

  /** How long so many bytes of a tenant will take; 0 when nothing is known of it. */
  msOf(tenant: TenantId, bytes: number): number {
    return ((this.#costs.get(tenant)?.nsPerByte ?? 0) * bytes) / NS_PER_MS;
  }

  /** A turn with others begins: what the tenant may take of it, not more than 0 while it owes more than its share. */
  grant(tenant: TenantId, shareMs: number): number {
    const cost = this.#costs.get(tenant);
    if (cost === undefined) return shareMs;
    cost.leftMs = Math.min(shareMs, cost.leftMs + shareMs);
    return cost.leftMs;
  }

  /** So many bytes took so long, in a turn that others waited for or not. */
  charge(tenant: TenantId, bytes: number, ms: number, isShared: boolean): void {
    if (bytes === 0) return;
    const nsPerByte = (ms * NS_PER_MS) / bytes;
    const cost = this.#costs.get(tenant);
    if (cost === undefined) {
      this.#costs.set(tenant, { nsPerByte, leftMs: 0 });
      this.#forget();
      return;
    }
    // A pause of the whole thread is not the tenant's doing: much more than before counts in steps.
    const counted = Math.min(nsPerByte, PAUSE_FACTOR * Math.max(1, cost.nsPerByte));
    cost.nsPerByte += NEWEST_WEIGHT * (counted - cost.nsPerByte);
    if (isShared) cost.leftMs = Math.max(-DEBT_MS_MAX, cost.leftMs - (counted * bytes) / NS_PER_MS);
  }

  #forget(): void {
    if (this.#costs.size <= TENANTS_MAX) return;
    const [first] = this.#costs.keys();
    if (first !== undefined) this.#costs.delete(first);
  }
}
