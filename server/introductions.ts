/**
 * Makes a tenant's metrics known to the hosts before anything else is asked of them on its behalf: tenants are made by
 * `weir keys` in another process, so the first one to hear of a tenant may be a publisher, a query or a subscriber.
 */
import type { TenantId } from "../protocol/ids.ts";
import type { MetricDefinition } from "../protocol/metric-definition.ts";
import type { Hosts } from "../workers/hosts.ts";
import type {
  ChannelAddress,
  ChannelOpening,
  Channels,
  DeadLetterView,
  Ledger,
  LiveAnswer,
  LiveData,
  LiveQuery,
  SessionView,
  TenantClock,
} from "../workers/ports.ts";
import { WeirError } from "../protocol/error-codes.ts";

export class IntroducedHosts implements LiveData, Channels {
  readonly #hosts: Hosts;
  readonly #metrics: (tenant: TenantId) => readonly MetricDefinition[];
  readonly #introduced = new Map<TenantId, Promise<void>>();
  readonly #known = new Set<TenantId>();

  constructor(hosts: Hosts, metrics: (tenant: TenantId) => readonly MetricDefinition[]) {
    this.#hosts = hosts;
    this.#metrics = metrics;
  }

  isKnown(tenant: TenantId): boolean {
    return this.#known.has(tenant);
  }

  introduce(tenant: TenantId): Promise<void> {
    let introduction = this.#introduced.get(tenant);
    if (introduction === undefined) {
      introduction = this.#hosts.define(tenant, this.#metrics(tenant)).then(() => void this.#known.add(tenant));
      this.#introduced.set(tenant, introduction);
      introduction.catch(() => this.#introduced.delete(tenant));
    }
    return introduction;
  }

  async define(tenant: TenantId, definitions: readonly MetricDefinition[]): Promise<void> {
    await this.introduce(tenant);
    await this.#hosts.define(tenant, definitions);
  }

  async query(tenant: TenantId, queries: readonly LiveQuery[]): Promise<readonly LiveAnswer[]> {
    await this.introduce(tenant);
    return this.#hosts.query(tenant, queries);
  }

  async session(tenant: TenantId, sessionId: string): Promise<SessionView | undefined> {
    return this.#hosts.session(tenant, sessionId);
  }

  async deadLetters(tenant: TenantId, options: { limit: number; code?: string }): Promise<readonly DeadLetterView[]> {
    return this.#hosts.deadLetters(tenant, options);
  }

  async ledger(tenant: TenantId): Promise<Ledger> {
    return this.#hosts.ledger(tenant);
  }

  async clock(tenant: TenantId): Promise<TenantClock> {
    await this.introduce(tenant);
    return this.#hosts.clock(tenant);
  }

  open(
    address: ChannelAddress,
    since: { epoch: string; seq: number } | undefined,
    opened: (opening: ChannelOpening) => void,
  ): void {
    this.introduce(address.tenant).then(
      () => this.#hosts.open(address, since, opened),
      (error: unknown) => opened({ kind: "refused", code: error instanceof WeirError ? error.code : "WEIR_INTERNAL" }),
    );
  }

  close(address: ChannelAddress, opened: (opening: ChannelOpening) => void): void {
    this.#hosts.close(address, opened);
  }

  onDelta(handler: (topic: string, frame: Uint8Array) => void): void {
    this.#hosts.onDelta(handler);
  }
}
