/** A growing list of small numbers, four bytes each. */
export class NumberList {
  #numbers = new Int32Array(0);
  #count = 0;

  get sizeBytes(): number {
    return this.#numbers.byteLength;
  }

  push(number: number): void {
    if (this.#count === this.#numbers.length) {
      const numbers = this.#numbers;
      this.#numbers = new Int32Array(Math.max(8, Math.ceil(numbers.length * 1.5)));
      this.#numbers.set(numbers);
    }
    this.#numbers[this.#count++] = number;
  }

  /** All of them; the list is empty afterwards, and holds no memory. */
  take(): Int32Array {
    const taken = this.#numbers.subarray(0, this.#count);
    this.#numbers = new Int32Array(0);
    this.#count = 0;
    return taken;
  }
}
