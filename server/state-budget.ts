/**
 * How much memory the state of tenants may take: remembered ids, open sessions, panes (decision 0020). Hosts say once a second
 * what each tenant takes; who is above the bound is refused before the journal with a retryable code, so that nothing that is
 * acknowledged is lost and no verdict depends on it.
 *
 *   one tenant     above its own budget: refused until it is 5% below
 *   all together   above the total: refused are those above the level at which all that is below it fits (max-min fairness:
 *                  Bertsekas and Gallager, Data Networks, 6.5.2). It is never below an equal share, so a quiet tenant goes on
 *
 *          taken |          #            a and b are refused, c and d are not: cut off at the level, all fit
 *                |          #  #
 *          level |- - - - - # -# - -
 *                |    #     #  #
 *                |_#__#_____#__#____
 *                  d  c     a  b
 *
 * Time passes for state only as events come. So of a full tenant one frame a second is let through, and fewer when they are
 * large: ids leave the horizon, sessions close, and it recovers by itself. What is admitted until the next report of the hosts
 * comes on top of the bound: a second or two of frames.
 */
import { WeirError } from "../protocol/error-codes.ts";
import { limits } from "../protocol/limits.ts";
import type { HostStatus } from "../workers/ports.ts";
import { noStateBytes, stateKinds, sumOf, type StateBytes, type StateKind } from "../workers/tenant-state.ts";

const REVIEW_EVERY_MS = 500;
/** Taken again only so far below a bound, or it would go back and forth. */
const ROOM_FACTOR = 0.95;
/** From here on a tenant is counted as nearly full. */
const NEARLY_FACTOR = 0.8;
const MIB = 1024 * 1024;

export interface StateBudgetOptions {
  /** In bytes; Infinity: no bound. */
  readonly tenantBytesMax: number;
  readonly totalBytesMax: number;
  readonly statuses: () => readonly HostStatus[];
  readonly now: () => number;
  readonly onChange: (tenant: string, isFull: boolean, stateBytes: number) => void;
}

/** What `/metrics` shows: nothing that is one tenant's. */
export interface StateFigures {
  /** Tenants that are refused at the moment. */
  readonly full: number;
  /** Those that would be if the bounds were four fifths. */
  readonly nearlyFull: number;
  /** Frames of full tenants that were let through. */
  readonly framesLetThrough: number;
}

interface FullTenant {
  readonly error: WeirError;
  /** When its next frame is let through. */
  nextFrameMs: number;
}

export class StateBudget {
  readonly #options: StateBudgetOptions;
  readonly #full = new Map<string, FullTenant>();
  #isOverTotal = false;
  #nearlyFull = 0;
  #framesLetThrough = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StateBudgetOptions) {
    this.#options = options;
  }

  get figures(): StateFigures {
    return { full: this.#full.size, nearlyFull: this.#nearlyFull, framesLetThrough: this.#framesLetThrough };
  }

  start(): void {
    this.review();
    this.#timer = setInterval(() => this.review(), REVIEW_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Throws WEIR_TENANT_STATE_FULL for a frame that is not to be taken. */
  admit(tenant: string, frameBytes: number): void {
    if (this.#full.size === 0) return;
    const full = this.#full.get(tenant);
    if (full === undefined) return;
    const now = this.#options.now();
    if (now < full.nextFrameMs) throw full.error;
    full.nextFrameMs = now + Math.max(limits.fullTenantFrameEveryMs, (frameBytes * 1_000) / limits.fullTenantBytesPerSecond);
    this.#framesLetThrough++;
  }

  /** Takes what the hosts last reported, and decides whom to refuse until the next time. */
  review(): void {
    const { tenantBytesMax, totalBytesMax, onChange, now } = this.#options;
    const states = statesOf(this.#options.statuses());
    const taken = new Map([...states].map(([tenant, bytes]) => [tenant, sumOf(bytes)]));
    const all = [...taken.values()];
    const totalBytes = all.reduce((sum, bytes) => sum + bytes, 0);
    this.#isOverTotal = totalBytes > totalBytesMax * (this.#isOverTotal ? ROOM_FACTOR : 1);
    const level = this.#isOverTotal ? fairLevel(all, totalBytesMax * ROOM_FACTOR) : Infinity;
    const nearly = Math.min(fairLevel(all, totalBytesMax * NEARLY_FACTOR), tenantBytesMax * NEARLY_FACTOR);
    this.#nearlyFull = all.filter((bytes) => bytes > nearly).length;
    for (const [tenant, bytes] of taken) {
      const before = this.#full.get(tenant);
      const isAbove = bytes > tenantBytesMax * (before === undefined ? 1 : ROOM_FACTOR);
      if (isAbove || bytes > level) {
        const error = errorOf(states.get(tenant) ?? noStateBytes(), isAbove ? tenantBytesMax : undefined);
        this.#full.set(tenant, { error, nextFrameMs: before?.nextFrameMs ?? now() });
        if (before === undefined) onChange(tenant, true, bytes);
      } else if (this.#full.delete(tenant)) onChange(tenant, false, bytes);
    }
    // One that no host knows any more has no state.
    for (const tenant of this.#full.keys()) if (!taken.has(tenant)) this.#full.delete(tenant);
  }
}

/** The sums over all hosts. */
export function statesOf(statuses: readonly HostStatus[]): ReadonlyMap<string, StateBytes> {
  const states = new Map<string, Record<StateKind, number>>();
  for (const { tenantStates } of statuses) {
    for (const { tenant, bytes } of tenantStates) {
      let sum = states.get(tenant);
      if (sum === undefined) states.set(tenant, (sum = noStateBytes()));
      for (const kind of stateKinds) sum[kind] += bytes[kind];
    }
  }
  return states;
}

/** The level at which the sum of all that is below it, each cut off there, is `total`; Infinity when all of it fits. */
export function fairLevel(taken: readonly number[], total: number): number {
  const ascending = taken.toSorted((a, b) => a - b);
  let left = total;
  for (const [index, bytes] of ascending.entries()) {
    const share = left / (ascending.length - index);
    if (bytes > share) return Math.max(0, share);
    left -= bytes;
  }
  return Infinity;
}

const kindNames: Readonly<Record<StateKind, string>> = {
  ids: "remembered event ids",
  sessions: "sessions",
  panes: "panes and series",
  metrics: "merged panes",
  letters: "dead letters on their way to disk",
};

/** Says what takes the space, and what helps. Only the tenant's own figures: it must not learn those of others. */
function errorOf(bytes: StateBytes, budget: number | undefined): WeirError {
  const bound = budget === undefined ? "its share of the server's memory" : `its budget of ${mib(budget)}`;
  const parts = stateKinds
    .filter((kind) => bytes[kind] >= MIB / 20)
    .toSorted((a, b) => bytes[b] - bytes[a])
    .map((kind) => `${kindNames[kind]} ${mib(bytes[kind])}`);
  const what = `It takes ${mib(sumOf(bytes))}, more than ${bound} (${parts.join(", ")}).`;
  const help = "Send again later: ids leave with the deduplication horizon, sessions close, panes age; or send fewer of them.";
  return new WeirError("WEIR_TENANT_STATE_FULL", `${what} ${help}`, { retryAfterMs: limits.fullTenantFrameEveryMs });
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
