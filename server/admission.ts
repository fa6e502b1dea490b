/**
 * What the gateway takes on at once: connections, bytes held for frames and bodies that have no answer yet, questions.
 * At a bound it refuses with a code before any work is done. Under pressure (half of the bytes are held) it asks senders
 * to slow down: acks then return no credit until a quarter is left.
 *
 *   held bytes   0 ------- 1/4 ------- 1/2 ------- max
 *                 relaxed | keeps state | pressed  | refuse
 */
import { WeirError } from "../protocol/error-codes.ts";

export interface AdmissionLimits {
  readonly connectionsMax: number;
  readonly heldBytesMax: number;
  readonly concurrentQueriesMax: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #queriesByTenant = new Map<string, number>();
  #connections = 0;
  #heldBytes = 0;
  #queries = 0;
  #pressed = false;
  #draining = false;
  #onRelief: () => void = () => {};

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get connections(): number {
    return this.#connections;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get pressed(): boolean {
    return this.#pressed;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Called when the pressure is over: the time to return held-back credit. */
  onRelief(handler: () => void): void {
    this.#onRelief = handler;
  }

  startDraining(): void {
    this.#draining = true;
  }

  refuseWhenDraining(): void {
    if (this.#draining) throw new WeirError("WEIR_FLOW_DRAINING");
  }

  openConnection(): void {
    this.refuseWhenDraining();
    if (this.#connections >= this.#limits.connectionsMax) throw new WeirError("WEIR_CONNECTION_LIMIT");
    this.#connections++;
  }

  closeConnection(): void {
    this.#connections--;
  }

  /** Every reserve is matched by one release of as many bytes. */
  reserve(bytes: number): void {
    if (this.#heldBytes + bytes > this.#limits.heldBytesMax) throw new WeirError("WEIR_FLOW_OVERLOADED");
    this.#heldBytes += bytes;
    if (this.#heldBytes * 2 > this.#limits.heldBytesMax) this.#pressed = true;
  }

  release(bytes: number): void {
    this.#heldBytes -= bytes;
    if (this.#pressed && this.#heldBytes * 4 <= this.#limits.heldBytesMax) {
      this.#pressed = false;
      this.#onRelief();
    }
  }

  /** Runs a question within the bound; one tenant gets at most half of the places. */
  async query<Answer>(tenant: string, run: () => Promise<Answer>): Promise<Answer> {
    const running = this.#queriesByTenant.get(tenant) ?? 0;
    const perTenantMax = Math.max(1, Math.floor(this.#limits.concurrentQueriesMax / 2));
    if (this.#queries >= this.#limits.concurrentQueriesMax || running >= perTenantMax) throw new WeirError("WEIR_QUERY_BUSY");
    this.#queries++;
    this.#queriesByTenant.set(tenant, running + 1);
    try {
      return await run();
    } finally {
      this.#queries--;
      const left = (this.#queriesByTenant.get(tenant) ?? 1) - 1;
      if (left === 0) this.#queriesByTenant.delete(tenant);
      else this.#queriesByTenant.set(tenant, left);
    }
  }
}
