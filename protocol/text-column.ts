/**
 * A column of texts as UTF-8, where they lie in some bytes. Event ids are one: each is new and is only hashed, so that making
 * a string of it would cost more than all that is done with it (0.4 us an event, `npm run bench -- ingest`).
 */
import { asciiText, isAscii } from "./interner.ts";

export class TextColumn {
  /** What the texts lie in; it must stay as it is while the column is used. `view` covers the same memory. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Text `i` is the `lengths[i]` bytes from `starts[i]` on. */
  readonly starts: Int32Array;
  readonly lengths: Int32Array;

  constructor(bytes: Uint8Array, view: DataView, starts: Int32Array, lengths: Int32Array) {
    this.bytes = bytes;
    this.view = view;
    this.starts = starts;
    this.lengths = lengths;
  }

  static of(texts: readonly string[]): TextColumn {
    // A UTF-16 unit takes at most three bytes.
    const bytes = new Uint8Array(texts.reduce((sum, text) => sum + text.length * 3, 0));
    const starts = new Int32Array(texts.length);
    const lengths = new Int32Array(texts.length);
    let at = 0;
    texts.forEach((text, row) => {
      const { written } = encoder.encodeInto(text, bytes.subarray(at));
      starts[row] = at;
      lengths[row] = written;
      at += written;
    });
    return new TextColumn(bytes, new DataView(bytes.buffer), starts, lengths);
  }

  text(row: number): string {
    const start = this.starts[row] ?? 0;
    const length = this.lengths[row] ?? 0;
    const end = start + length;
    // A decoder takes several times as long.
    return isAscii(this, start, length) ? asciiText(this.bytes, start, end) : decoder.decode(this.bytes.subarray(start, end));
  }

  texts(): string[] {
    return Array.from(this.starts, (_, row) => this.text(row));
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
