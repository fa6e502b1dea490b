/** Event types as small numbers, each for as long as some session has it: a number that none has any more is used again. */
export class TypeNumbers {
  readonly #numbers = new Map<string, number>();
  readonly #types: string[] = [];
  /** By number: how many sessions have it. */
  readonly #holders: number[] = [];
  readonly #free: number[] = [];
  #lastType: string | undefined;
  #lastNumber = -1;

  get count(): number {
    return this.#numbers.size;
  }

  /** -1: no session has it. */
  find(type: string): number {
    if (type === this.#lastType) return this.#lastNumber;
    const number = this.#numbers.get(type);
    if (number === undefined) return -1;
    this.#lastType = type;
    this.#lastNumber = number;
    return number;
  }

  /** The number for one more session that has the type. */
  hold(type: string): number {
    let number = this.#numbers.get(type);
    if (number === undefined) {
      number = this.#free.pop() ?? this.#types.length;
      this.#numbers.set(type, number);
      this.#types[number] = type;
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
    this.#numbers.delete(this.text(number));
    this.#types[number] = "";
    this.#free.push(number);
    this.#lastType = undefined;
  }
}
