/** Bytes as they came, taken from the front. Chunks are joined only when one alone does not hold what is asked for. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  length = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** The first bytes, at most so many. They stay. */
  peek(bytes: number): Uint8Array {
    return this.#joined(Math.min(bytes, this.length)).slice(0, bytes);
  }

  take(bytes: number): Uint8Array {
    const first = this.#joined(bytes);
    this.#chunks[0] = first.subarray(bytes);
    if (first.length === bytes) this.#chunks.shift();
    this.length -= bytes;
    return first.subarray(0, bytes);
  }

  indexOf(text: string): number {
    return Buffer.from(this.#joined(this.length)).indexOf(text);
  }

  #joined(bytes: number): Uint8Array {
    const [first] = this.#chunks;
    if (first === undefined) return new Uint8Array(0);
    if (first.length >= bytes) return first;
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#joined(bytes);
  }
}
