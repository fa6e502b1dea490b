/**
 * Streams files of events through a client and counts what became of them. Reading waits for room in the client's buffer,
 * so memory does not depend on the size of the files. `weir send` and the demo use it.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { EventInput, PublishResult, WeirClient } from "../client/index.ts";
import { readEventFile, shiftDays } from "./event-files.ts";

export interface SendOptions {
  readonly files: readonly string[];
  readonly days: number;
  readonly batchEvents: number;
  /** Events a second at most; undefined: as fast as acks come. */
  readonly ratePerSecond: number | undefined;
  readonly onBadLine: (file: string, number: number, problem: string) => void;
  readonly onProgress: (state: SendState) => void;
  readonly signal?: AbortSignal;
}

export interface SendState {
  readonly read: number;
  readonly answered: number;
  /** Of all files so far, as they lie on the disk. */
  readonly bytesRead: number;
}

export interface SendSummary {
  /** Events read from the files and given to the server. */
  readonly sent: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly badLines: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
}

export async function sendEvents(client: WeirClient, options: SendOptions): Promise<SendSummary> {
  const sending = new Sending(client, options);
  await sending.run();
  return sending.summary();
}

class Sending {
  readonly #client: WeirClient;
  readonly #options: SendOptions;
  readonly #startedAtMs = performance.now();
  readonly #failed: Record<string, number> = {};
  #batch: EventInput[] = [];
  #read = 0;
  #answered = 0;
  #accepted = 0;
  #duplicates = 0;
  #badLines = 0;
  #bytesRead = 0;
  #failure: Error | undefined;

  constructor(client: WeirClient, options: SendOptions) {
    this.#client = client;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { files, days, batchEvents, onBadLine, signal } = this.#options;
    let bytesBefore = 0;
    for (const file of files) {
      for await (const { number, event, problem, bytesRead } of readEventFile(file)) {
        if (signal?.aborted === true) break;
        this.#bytesRead = bytesBefore + bytesRead;
        if (event === undefined) {
          this.#badLines++;
          onBadLine(file, number, problem ?? "");
          continue;
        }
        this.#batch.push(shiftDays(event, days));
        this.#read++;
        if (this.#batch.length >= batchEvents) await this.#send();
      }
      bytesBefore = this.#bytesRead;
    }
    await this.#send();
    await this.#client.flush();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #send(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#batch.length === 0) return;
    const events = this.#batch;
    this.#batch = [];
    await this.#client.room();
    await this.#pace();
    this.#client.publish(events).then(
      (result) => this.#count(result),
      (error: unknown) => (this.#failure ??= error instanceof Error ? error : new Error(String(error))),
    );
    this.#tell();
  }

  async #pace(): Promise<void> {
    const { ratePerSecond, signal } = this.#options;
    if (ratePerSecond === undefined) return;
    const dueMs = this.#startedAtMs + (this.#read / ratePerSecond) * 1_000;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await delay(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }

  #count(result: PublishResult): void {
    this.#answered += result.totalEvents;
    this.#duplicates += result.duplicateEvents;
    this.#accepted += result.successfulEvents - result.duplicateEvents;
    for (const { success, code } of result.results) {
      if (!success) this.#failed[code ?? "WEIR_INTERNAL"] = (this.#failed[code ?? "WEIR_INTERNAL"] ?? 0) + 1;
    }
    this.#tell();
  }

  #tell(): void {
    this.#options.onProgress({ read: this.#read, answered: this.#answered, bytesRead: this.#bytesRead });
  }

  summary(): SendSummary {
    const seconds = (performance.now() - this.#startedAtMs) / 1_000;
    return {
      sent: this.#read,
      accepted: this.#accepted,
      duplicates: this.#duplicates,
      failed: this.#failed,
      badLines: this.#badLines,
      seconds: Number(seconds.toFixed(3)),
      eventsPerSecond: Math.round(this.#answered / seconds),
    };
  }
}
