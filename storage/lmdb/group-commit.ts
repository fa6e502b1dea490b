/**
 * One commit at a time: what arrives while one runs shares the next. So a commit takes whatever has gathered, the disk
 * sets the pace, and a commit that failed is never followed by one that could hide it.
 * The journal and the store each own one; `fill` writes all that is pending, must not throw, and returns
 * what to do once it is on disk, before anyone who waits goes on.
 */
import { WeirError } from "../../protocol/error-codes.ts";
import type { ByteTable } from "./environment.ts";

export class GroupCommit {
  readonly #table: ByteTable;
  readonly #fill: () => () => void;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #failure: WeirError | undefined;

  constructor(table: ByteTable, fill: () => () => void) {
    this.#table = table;
    this.#fill = fill;
  }

  /** Set once a commit has failed; nothing is taken after it. */
  get failure(): WeirError | undefined {
    return this.#failure;
  }

  /** The commit that is on its way to the disk, if any. */
  get running(): Promise<void> | undefined {
    return this.#running;
  }

  /** Resolves when all that is pending now is on disk. Callers may ignore the promise. */
  commit(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start();
    this.#next = this.#running.then(() => {
      this.#next = undefined;
      return this.#start();
    });
    return handled(this.#next);
  }

  /** Resolves when no commit runs or waits, whatever came of them. */
  async settle(): Promise<void> {
    while (this.#failure === undefined) {
      const last = this.#next ?? this.#running;
      if (last === undefined) return;
      await last.catch(() => undefined);
    }
  }

  #start(): Promise<void> {
    this.#running = this.#failure === undefined ? this.#run() : Promise.reject(this.#failure);
    return handled(this.#running);
  }

  async #run(): Promise<void> {
    try {
      let done: (() => void) | undefined;
      await this.#table.batch(() => {
        done = this.#fill();
      });
      done?.();
    } catch (error) {
      this.#failure = new WeirError("WEIR_JOURNAL_COMMIT_FAILED", undefined, { cause: await reasonOf(error) });
      throw this.#failure;
    } finally {
      this.#running = undefined;
    }
  }
}

/** Whoever awaits the promise still sees it reject; nobody has to: the failure meets whoever comes next. */
export function handled<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => undefined);
  return promise;
}

/** lmdb rejects with a general error whose `commitError` is a promise that rejects with the reason. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  return Promise.resolve(error.commitError).catch((reason: unknown) => reason);
}
