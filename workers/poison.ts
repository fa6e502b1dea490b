/**
 * Frames and records that stop their host. A frame is only blamed for a failure when it was applied alone: after a failure a
 * host goes on carefully, one frame a turn, so the next failure has one suspect. At the second strike the suspect is poison:
 * the host refuses it with a verdict of its own, and it is a dead letter. A record whose replay fails is counted likewise.
 * Nothing is blamed for a failed commit: that is the disk's.
 */
import { createHash } from "node:crypto";
import type { TenantId } from "../protocol/ids.ts";
import { limits } from "../protocol/limits.ts";
import type { HandedFrame } from "./hand-off.ts";

const STRIKES_MAX = 2;

/** Names a frame by its bytes: a sender that sends it again gets it refused, whatever its id is then. */
export interface FrameMark {
  readonly tenant: TenantId;
  readonly bytes: number;
  readonly hash: string;
}

/** A record of a host's journal (that of another host when a partition is brought up to date from there). */
export interface RecordMark {
  readonly host: number;
  readonly offset: number;
}

export function markOf({ tenant, bytes }: Pick<HandedFrame, "tenant" | "bytes">): FrameMark {
  return { tenant, bytes: bytes.length, hash: createHash("sha256").update(bytes).digest("base64") };
}

/** What a host is told to refuse. Bytes are hashed only when tenant and length are those of a mark. */
export class PoisonFrames {
  readonly #marks: readonly FrameMark[];

  constructor(marks: readonly FrameMark[]) {
    this.#marks = marks;
  }

  has(frame: Pick<HandedFrame, "tenant" | "bytes">): boolean {
    const alike = this.#marks.filter(({ tenant, bytes }) => tenant === frame.tenant && bytes === frame.bytes.length);
    if (alike.length === 0) return false;
    const { hash } = markOf(frame);
    return alike.some((mark) => mark.hash === hash);
  }
}

/** Of one host, kept by the main thread over the host's lives. The oldest marks go at the bound: at worst two more failures. */
export class Strikes {
  readonly #counts = new Map<string, number>();
  readonly #frames: FrameMark[] = [];
  readonly #records: RecordMark[] = [];

  /** Frames that are to be refused. */
  get frames(): readonly FrameMark[] {
    return this.#frames;
  }

  /** Records that are to be skipped. */
  get records(): readonly RecordMark[] {
    return this.#records;
  }

  frame(mark: FrameMark): void {
    if (this.#isLast(`frame ${mark.tenant} ${mark.hash}`)) this.#frames.push(mark);
    if (this.#frames.length > limits.poisonFramesMax) this.#frames.shift();
  }

  record(mark: RecordMark): void {
    if (this.#isLast(`record ${mark.host} ${mark.offset}`)) this.#records.push(mark);
  }

  #isLast(key: string): boolean {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.delete(key);
    this.#counts.set(key, count);
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= limits.poisonFramesMax) break;
      this.#counts.delete(oldest);
    }
    return count === STRIKES_MAX;
  }
}
