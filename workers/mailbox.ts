/**
 * The frames that wait for a turn of a partition host: one queue a tenant, and a turn takes from them in rotation, so that a
 * tenant with a thousand frames waiting holds up nobody else's only one (promise 11). Frames of one tenant leave in the order
 * in which they came (promise 5). Admission in the gateway keeps the whole within its limits.
 *
 *   noisy  | 9 8 7 6 5 4 3 2 1 |       a turn while others wait: a, 1, 2, ... up to the share in bytes and in time
 *   other  |                 a |       a turn of one tenant alone: as much as a turn may have
 *
 * Time is what tenants share (decision 0023): bytes of one may cost ten times those of another. What a tenant's bytes have cost
 * so far (`charge`) says how long its frames will take. A frame that takes longer than its share is paid for in later turns.
 */
import type { TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { HandedFrame } from "./hand-off.ts";
import { TenantCosts } from "./tenant-costs.ts";
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
  /** How long it will take, by what is known. */
  ms: number;
}

/** Frames that have left are forgotten together, when there are this many: one by one would move the others each time. */
const FORGET_AT = 1_024;

export class Mailbox {
  /** Tenants with frames, the one whose turn it is first. */
  readonly #queues = new Map<TenantId, Queue>();
  readonly #costs = new TenantCosts();
  /** The last turn was one tenant's: nobody waited for it. */
  #wasAlone = true;
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
    const isAlone = (this.#wasAlone = tenants.length <= 1);
    const shareBytes = isAlone ? limits.turnBytesMax : limits.turnBytesPerTenantMax;
    const turn: Turn = { frames: [], bytes: 0, ms: 0 };
    // Again when all owe time: nobody waits for nothing.
    while (turn.frames.length === 0 && tenants.length > 0) {
      for (const tenant of tenants) {
        if (!hasRoom(turn, framesMax)) break;
        const shareMs = isAlone ? limits.turnMsMax : this.#costs.grant(tenant, limits.turnMsPerTenantMax);
        if (shareMs > 0) this.#takeFrom(tenant, turn, shareBytes, shareMs, framesMax);
      }
    }
    return turn.frames;
  }

  /** What a tenant's frames of the last turn have cost. */
  charge(tenant: TenantId, bytes: number, ms: number): void {
    this.#costs.charge(tenant, bytes, ms, !this.#wasAlone);
  }

  /** Takes back the last frames of a turn, as they came out: they begin the next one. */
  putBack(frames: readonly HandedFrame[]): void {
    const before = new Map(this.#queues);
    this.#queues.clear();
    for (const frame of frames) this.add(frame);
    for (const [tenant, queue] of before) {
      const own = this.#queues.get(tenant);
      if (own === undefined) this.#queues.set(tenant, queue);
      else for (let at = queue.next; at < queue.frames.length; at++) own.frames.push(queue.frames[at] as HandedFrame);
    }
  }

  /** Moves frames of a tenant into the turn until that is full or it has its share; one at least. */
  #takeFrom(tenant: TenantId, turn: Turn, shareBytes: number, shareMs: number, framesMax: number): void {
    const queue = this.#queues.get(tenant);
    if (queue === undefined) return;
    const untilBytes = turn.bytes + shareBytes;
    const untilMs = turn.ms + shareMs;
    // So many bytes even if they take longer, which is owed: a turn of one small frame costs more than the frame.
    const worthwhileBytes = turn.bytes + limits.turnBytesPerTenantMin;
    const isWithin = (): boolean => turn.bytes < untilBytes && (turn.ms < untilMs || turn.bytes < worthwhileBytes);
    while (isWithin() && hasRoom(turn, framesMax)) {
      const frame = queue.frames[queue.next];
      if (frame === undefined) break;
      queue.next++;
      turn.bytes += frame.bytes.length;
      turn.ms += this.#costs.msOf(tenant, frame.bytes.length);
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

function hasRoom({ frames, bytes, ms }: Turn, framesMax: number): boolean {
  return frames.length < framesMax && ms < limits.turnMsMax && !isFullTurn(frames.length, bytes);
}
