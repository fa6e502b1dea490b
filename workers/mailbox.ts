/**
 * The frames that wait for a turn of a partition host: one queue a tenant, and a turn takes from them in rotation, so that a
 * tenant with a thousand frames waiting holds up nobody else's only one (promise 11). Frames of one tenant leave in the order
 * in which they came (promise 5). Admission in the gateway keeps the whole within its limits.
 *
 *   noisy  | 9 8 7 6 5 4 3 2 1 |       a turn while others wait: a, 1, 2, ... up to the share in bytes
 *   other  |                 a |       a turn of one tenant alone: as much as a turn may have
 */
import type { TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { HandedFrame } from "./hand-off.ts";
import { isFullTurn } from "./turn-size.ts";

interface Queue {
  readonly frames: HandedFrame[];
  /** Those before this place have left. */
  next: number;
}

/** The frames of a turn, while it is filled. */
interface Turn {
  readonly frames: HandedFrame[];
  bytes: number;
}

/** Frames that have left are forgotten together, when there are this many: one by one would move the others each time. */
const FORGET_AT = 1_024;

export class Mailbox {
  /** Tenants with frames, the one whose turn it is first. */
  readonly #queues = new Map<TenantId, Queue>();
  #frames = 0;
  #bytes = 0;

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(frame: HandedFrame): void {
    const queue = this.#queues.get(frame.tenant);
    if (queue === undefined) this.#queues.set(frame.tenant, { frames: [frame], next: 0 });
    else queue.frames.push(frame);
    this.#frames++;
    this.#bytes += frame.bytes.length;
  }

  clear(): void {
    this.#queues.clear();
    this.#frames = 0;
    this.#bytes = 0;
  }

  /** The frames of the next turn. Every tenant that waits has its part in one of the next few. */
  take(framesMax: number = limits.turnFramesMax): HandedFrame[] {
    const tenants = [...this.#queues.keys()];
    const shareBytes = tenants.length > 1 ? limits.turnBytesPerTenantMax : limits.turnBytesMax;
    const turn: Turn = { frames: [], bytes: 0 };
    for (const tenant of tenants) {
      if (!hasRoom(turn, framesMax)) break;
      this.#takeFrom(tenant, turn, turn.bytes + shareBytes, framesMax);
    }
    return turn.frames;
  }

  /** Moves frames of a tenant into the turn until that is full or has `untilBytes`; one at least. */
  #takeFrom(tenant: TenantId, turn: Turn, untilBytes: number, framesMax: number): void {
    const queue = this.#queues.get(tenant);
    if (queue === undefined) return;
    while (turn.bytes < untilBytes && hasRoom(turn, framesMax)) {
      const frame = queue.frames[queue.next];
      if (frame === undefined) break;
      queue.next++;
      turn.bytes += frame.bytes.length;
      turn.frames.push(frame);
      this.#bytes -= frame.bytes.length;
      this.#frames--;
    }
    // Behind all others: its next turn comes after theirs.
    this.#queues.delete(tenant);
    if (queue.next < queue.frames.length) {
      const forget = queue.next >= FORGET_AT;
      this.#queues.set(tenant, forget ? { frames: queue.frames.slice(queue.next), next: 0 } : queue);
    }
  }
}

function hasRoom({ frames, bytes }: Turn, framesMax: number): boolean {
  return frames.length < framesMax && !isFullTurn(frames.length, bytes);
}
