/** What columns know of their values must be true, and what others are told of texts must not depend on when they came. */
import assert from "node:assert/strict";
import type { EventColumns } from "../../protocol/event-columns.ts";
import { NUMBER, UNKNOWN } from "../../protocol/field-column.ts";
import { nonZeroHash64 } from "../../protocol/hash64.ts";
import { ACCEPTED } from "../../protocol/verdicts.ts";

/** So many are remembered at once. */
const TEXTS_MAX = 100_000;

/** By number: the text that it stands for, for as long as numbers are not given out again. */
export class KnownTexts {
  readonly #texts = new Map<number, string>();

  /** Holds what is known of a field to its values, in all accepted rows. */
  check(columns: EventColumns, path: string): void {
    const values = columns.field(path);
    const column = columns.column(path);
    const { hashes, firstHash, numbers, firstNumber } = column;
    for (let row = 0; row < columns.count; row++) {
      if (columns.verdicts[row] !== ACCEPTED) continue;
      const value = values[row];
      assert.equal(column.value(row), value, path);
      const kind = column.kind(row);
      if (kind === UNKNOWN) continue;
      if (kind === NUMBER) {
        assert.equal(numbers[firstNumber + row], value, path);
        continue;
      }
      assert.equal(typeof value, "string", path);
      const text = String(value);
      assert.equal(this.#texts.get(kind) ?? text, text, "a number stands for one text");
      if (this.#texts.size >= TEXTS_MAX) this.#texts.clear();
      this.#texts.set(kind, text);
      if (hashes === undefined) continue;
      const at = firstHash + 2 * row;
      assert.deepEqual(hashes.subarray(at, at + 2), hashOf(text), path);
    }
  }

  forget(): void {
    this.#texts.clear();
  }
}

function hashOf(text: string): Uint32Array {
  const hash = new Uint32Array(2);
  nonZeroHash64(text, hash);
  return hash;
}
