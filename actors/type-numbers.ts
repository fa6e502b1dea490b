import { NOT_KNOWN, TextMemo } from "../protocol/text-memo.ts";
import { NO_TEXT_NUMBER } from "../protocol/text-numbers.ts";

const RECENT_TYPES = 64;

/** Event types as small numbers, each for as long as some session has it: a number that none has any more is used again. */
export class TypeNumbers {
  readonly #numbers = new Map<string, number>();
  readonly #types: string[] = [];
  /** By number: how many sessions have it. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  readonly #recent = new TextMemo(RECENT_TYPES);
  /** Estimated memory: the texts, at up to two bytes a character, and their places. */
  sizeBytes = 0;

  get count(): number {
    return this.#numbers.size;
  }

  /** -1: no session has it. `textNumber`: of its text, where that is known. */
  find(type: string, textNumber = NO_TEXT_NUMBER): number {
    const recent = this.#recent.get(textNumber);
    if (recent !== NOT_KNOWN) return recent;
    const number = this.#numbers.get(type) ?? -1;
    if (number !== -1) this.#recent.put(textNumber, number);
    return number;
  }

  /** The number for one more session that has the type. */
  hold(type: string): number {
    let number = this.#numbers.get(type);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#types.length;
      this.#numbers.set(type, number);
      this.#types[number] = type;
      this.sizeBytes += sizeOf(type);
    }
    this.#holders[number] = (this.#holders[number] ?? 0) + 1;
    return number;
  }

  text(number: number): string {
    return this.#types[number] ?? "";
  }

  letGo(number: number): void {
    const holders = (this.#holders[number] ?? 0) - 1;
    this.#holders[number] = holders;
    if (holders > 0) return;
    const type = this.text(number);
    this.sizeBytes -= sizeOf(type);
    this.#numbers.delete(type);
    this.#types[number] = "";
    this.#free.push(number);
    this.#recent.clear();
  }
}

function sizeOf(type: string): number {
  return 96 + 2 * type.length;
}
