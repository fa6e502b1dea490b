/** What a server shows of its state while a fault lasts: everything that `/readyz` and `/metrics` said, gathered. */
import { setTimeout as delay } from "node:timers/promises";
import type { ReadyAnswer } from "../../server/health.ts";

const EVERY_MS = 100;
const ANSWER_MS = 2_000;
const refusal = /^weir_refusals_total\{code="([A-Z_]+)"\} (\d+)$/gm;

export class Observer {
  readonly #url: string;
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;
  readonly statuses = new Set<string>();
  readonly journals = new Set<string>();
  /** How often each code was answered, at most; counters begin anew when the process does. */
  readonly refusals = new Map<string, number>();
  hostRestarts = 0;
  last: ReadyAnswer | undefined;

  constructor(url: string) {
    this.#url = url;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      await this.#look().catch(() => this.statuses.add("no answer"));
      await delay(EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    // Kept until the end: Node 20 collects a timeout that only `AbortSignal.any` knows, and then it never comes.
    const timeout = AbortSignal.timeout(ANSWER_MS);
    try {
      await this.#read(AbortSignal.any([this.#end.signal, timeout]));
    } finally {
      if (timeout.aborted) this.statuses.add("no answer");
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    const ready = (await (await fetch(`${this.#url}/readyz`, { signal })).json()) as ReadyAnswer;
    const metrics = await (await fetch(`${this.#url}/metrics`, { signal })).text();
    this.last = ready;
    this.statuses.add(ready.status);
    this.journals.add(ready.journal);
    this.hostRestarts = Math.max(this.hostRestarts, ...ready.hosts.map(({ restarts = 0 }) => restarts));
    for (const [, code = "", count] of metrics.matchAll(refusal)) {
      this.refusals.set(code, Math.max(this.refusals.get(code) ?? 0, Number(count)));
    }
  }
}
