/**
 * One subscription as its reader sees it: the current rows, and changes by callback or by iteration. A slow iterator gets
 * several changes joined into one, so its memory is bounded by the number of rows; the rows are never a torn state.
 * `subscriber.ts` makes and feeds it.
 */
import type { ChannelRow } from "../protocol/frames.ts";
import type { CadenceMs, WindowName } from "../protocol/windows.ts";
import { ChannelState, type RowChange } from "./channel-state.ts";

export interface ChannelChange {
  /** `snapshot` after the first answer and after a gap, `live`, or `late` for corrections by late events. */
  readonly cause: string;
  /** Complete rows that are new or different. */
  readonly changed: readonly ChannelRow[];
  /** The dimensions of rows that are gone. */
  readonly removed: readonly ChannelRow[];
  readonly window: { readonly from: number; readonly to: number };
  readonly epoch: string;
  readonly seq: number;
}

export type OnChange = (change: ChannelChange, subscription: Subscription) => void;

export interface ChannelName {
  readonly metric: string;
  readonly window: WindowName;
  readonly everyMs: CadenceMs;
}

interface Waiter {
  readonly resolve: (step: IteratorResult<ChannelChange, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

export class Subscription implements AsyncIterable<ChannelChange> {
  readonly id: number;
  readonly name: ChannelName;
  readonly state = new ChannelState();
  /** Resolves with the first change; rejects when the server refuses the subscription. */
  readonly ready: Promise<void>;
  readonly #onChange: OnChange | undefined;
  readonly #onClose: (subscription: Subscription) => void;
  #becomeReady: () => void = () => undefined;
  #refuseReady: (error: unknown) => void = () => undefined;
  #pending: { cause: string; changed: Map<string, ChannelRow>; removed: Map<string, ChannelRow> } | undefined;
  #waiter: Waiter | undefined;
  #iterating = false;
  #closed = false;
  #failure: unknown;

  constructor(id: number, name: ChannelName, onChange: OnChange | undefined, onClose: (subscription: Subscription) => void) {
    this.id = id;
    this.name = name;
    this.#onChange = onChange;
    this.#onClose = onClose;
    this.ready = new Promise((resolve, reject) => {
      this.#becomeReady = resolve;
      this.#refuseReady = reject;
    });
    this.ready.catch(() => undefined);
  }

  get channel(): string {
    return `${this.name.metric}@${this.name.window}`;
  }

  /** By dimensions; iterate its values for the rows. */
  get rows(): ReadonlyMap<string, ChannelRow> {
    return this.state.rows;
  }

  get window(): { readonly from: number; readonly to: number } | undefined {
    return this.state.window;
  }

  get epoch(): string | undefined {
    return this.state.position?.epoch;
  }

  get seq(): number | undefined {
    return this.state.position?.seq;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(this);
    this.#waiter?.resolve({ done: true, value: undefined });
    this.#waiter = undefined;
  }

  /** For `subscriber.ts`: the server will send nothing more. Iteration and `ready` end with the error. */
  fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure = error;
    this.#refuseReady(error);
    this.#waiter?.reject(error);
    this.#waiter = undefined;
    this.close();
  }

  /** For `subscriber.ts`: the state has just taken this change. */
  changed(cause: string, change: RowChange): void {
    const described = this.#describe(cause, change);
    if (described === undefined) return;
    this.#becomeReady();
    this.#onChange?.(described, this);
    if (this.#waiter !== undefined) {
      this.#waiter.resolve({ done: false, value: described });
      this.#waiter = undefined;
    } else if (this.#iterating) {
      this.#join(cause, change);
    }
  }

  #describe(cause: string, change: RowChange): ChannelChange | undefined {
    const { window, position } = this.state;
    if (window === undefined || position === undefined) return undefined;
    return { cause, changed: [...change.changed.values()], removed: [...change.removed.values()], window, ...position };
  }

  #join(cause: string, change: RowChange): void {
    this.#pending ??= { cause, changed: new Map(), removed: new Map() };
    const pending = this.#pending;
    pending.cause = cause;
    for (const [key, row] of change.changed) {
      pending.removed.delete(key);
      pending.changed.set(key, row);
    }
    for (const [key, row] of change.removed) {
      pending.changed.delete(key);
      pending.removed.set(key, row);
    }
  }

  /** One iterator at a time. What the state holds already is its first change. */
  [Symbol.asyncIterator](): AsyncIterator<ChannelChange, undefined> {
    this.#iterating = true;
    if (this.rows.size > 0) this.#join("snapshot", { changed: this.rows, removed: new Map() });
    return {
      next: () => this.#next(),
      return: () => {
        this.#iterating = false;
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #next(): Promise<IteratorResult<ChannelChange, undefined>> {
    const pending = this.#pending;
    this.#pending = undefined;
    const change = pending === undefined ? undefined : this.#describe(pending.cause, pending);
    if (change !== undefined) return Promise.resolve({ done: false, value: change });
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }
}
