/**
 * How much room the disk of the data directory has. Below the reserve frames are refused before anything is written, with a
 * retryable code, and taken again when there is room: a full disk must be met here and not inside a commit. A commit that
 * fails stops its host, and LMDB's own handling of it is not to be relied upon (docs/decisions/0013).
 */
import { statfs } from "node:fs/promises";

const POLL_MS = 500;
/** Taken again only with this much more than the reserve, or it would go back and forth. */
const ROOM_FACTOR = 1.1;

export interface DiskSpaceOptions {
  readonly path: string;
  readonly reserveBytes: number;
  readonly onChange: (isFull: boolean, freeBytes: number) => void;
  /** In place of the file system's own answer. */
  readonly readFree?: (path: string) => Promise<number>;
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  #freeBytes: number | undefined;
  #isFull = false;
  #timer: NodeJS.Timeout | undefined;
  #polling = false;

  constructor(options: DiskSpaceOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** undefined where the file system does not say. */
  get freeBytes(): number | undefined {
    return this.#freeBytes;
  }

  async start(): Promise<void> {
    await this.poll();
    this.#timer = setInterval(() => void this.poll(), POLL_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async poll(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    const { path, reserveBytes, onChange, readFree = freeBytesOf } = this.#options;
    const free = await readFree(path).catch(() => undefined);
    this.#polling = false;
    this.#freeBytes = free;
    if (free === undefined) return;
    const isFull = free < (this.#isFull ? reserveBytes * ROOM_FACTOR : reserveBytes);
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    onChange(isFull, free);
  }
}

async function freeBytesOf(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}
