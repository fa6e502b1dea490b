/**
 * Whose work a turn's time goes into: whoever begins some of a tenant's says so, and the time until somebody says something else
 * is that tenant's. The frames of a turn lie together by tenant, so the clock is read and the tenant looked up where tenants
 * change, and not with every frame of one event (`npm run bench -- ingest-batches`).
 */
import type { TenantId } from "../protocol/ids.ts";

export class TurnMeter {
  readonly #elapsed: () => number;
  readonly #ms = new Map<TenantId, number>();
  #tenant: TenantId | undefined;
  #sinceMs = 0;

  /** `elapsed`: milliseconds since some start. */
  constructor(elapsed: () => number) {
    this.#elapsed = elapsed;
  }

  /** What goes on from here is the tenant's. */
  work(tenant: TenantId): void {
    if (tenant === this.#tenant) return;
    const nowMs = this.#elapsed();
    this.#charge(nowMs);
    this.#tenant = tenant;
    this.#sinceMs = nowMs;
  }

  /** What goes on from here is nobody's. */
  rest(): void {
    if (this.#tenant !== undefined) this.#charge(this.#elapsed());
    this.#tenant = undefined;
  }

  of(tenant: TenantId): number {
    return this.#ms.get(tenant) ?? 0;
  }

  #charge(nowMs: number): void {
    const tenant = this.#tenant;
    if (tenant !== undefined) this.#ms.set(tenant, this.of(tenant) + nowMs - this.#sinceMs);
  }
}
