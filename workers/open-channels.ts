/**
 * Which channels are open at which host, as the main thread knows it: a host that has come back knows none, and every one is
 * opened there again. Whoever listens is then told a new snapshot; a channel that is closed meanwhile is not.
 */
import type { WeirError } from "../protocol/error-codes.ts";
import type { ChannelAddress, ChannelOpening } from "./ports.ts";

type Opened = (opening: ChannelOpening) => void;
type Since = { readonly epoch: string; readonly seq: number } | undefined;

interface OpenChannel {
  readonly address: ChannelAddress;
  since: Since;
}

/** Asks the host; exactly one of the two is called, later. */
export type AskOpen = (
  ask: { address: ChannelAddress; since: Since },
  opened: Opened,
  failed: (error: WeirError) => void,
) => void;

/** Of one host. */
export class OpenChannels {
  readonly #channels = new Map<Opened, OpenChannel>();
  readonly #onCount: () => void;

  /** `onCount`: called when the count has changed. */
  constructor(onCount: () => void) {
    this.#onCount = onCount;
  }

  get count(): number {
    return this.#channels.size;
  }

  /** `ask` undefined: the host is down, and the channel is opened when it has come back. */
  open(address: ChannelAddress, since: Since, opened: Opened, ask: AskOpen | undefined): void {
    this.#channels.set(opened, { address, since });
    this.#onCount();
    if (ask !== undefined) this.#ask(opened, ask);
  }

  /** False when it was refused, or closed before: then the host does not have it. */
  close(opened: Opened): boolean {
    const isThere = this.#channels.delete(opened);
    if (isThere) this.#onCount();
    return isThere;
  }

  reopen(ask: AskOpen): void {
    for (const opened of this.#channels.keys()) this.#ask(opened, ask);
  }

  #ask(opened: Opened, ask: AskOpen): void {
    const channel = this.#channels.get(opened);
    if (channel === undefined) return;
    ask(
      channel,
      (opening) => {
        if (this.#channels.get(opened) !== channel) return;
        if (opening.kind === "refused") this.close(opened);
        // The next life of the host has nothing that could be resumed.
        channel.since = undefined;
        opened(opening);
      },
      (error) => {
        // Of a host that has failed: opened again with the others when it comes back.
        if (error.code === "WEIR_HOST_FAILED" || this.#channels.get(opened) !== channel) return;
        this.close(opened);
        opened({ kind: "refused", code: error.code });
      },
    );
  }
}
