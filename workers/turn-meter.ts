/** Whose work a turn's time went into: whoever has done some of a tenant's says so, and the time since the last one is that tenant's. */
import type { TenantId } from "../protocol/ids.ts";

export class TurnMeter {
  readonly #elapsed: () => number;
  readonly #ms = new Map<TenantId, number>();
  #lastMs = 0;

  /** `elapsed`: milliseconds since some start. */
  constructor(elapsed: () => number) {
    this.#elapsed = elapsed;
    this.start();
  }

  /** What went on until now is nobody's. */
  start(): void {
    this.#lastMs = this.#elapsed();
  }

  lap(tenant: TenantId): void {
    const nowMs = this.#elapsed();
    this.#ms.set(tenant, (this.#ms.get(tenant) ?? 0) + nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }

  of(tenant: TenantId): number {
    return this.#ms.get(tenant) ?? 0;
  }
}
