/**
 * Numbers for the texts that interners keep, so that what was found out about a text (which series it stands for, whether a filter
 * takes it) is found again by a small number, without a look at the text. A number is one text's for a whole generation; a text that
 * was driven out gets a new one when it comes again.
 *
 * There are two halves of 2^30 numbers, which take turns: what is left of the last generation (columns of the turn in which it
 * ended) is never taken for a text of this one. Memos forget everything when a generation begins.
 */
const HALF = 2 ** 30;
/** No text, or one without a number. */
export const NO_TEXT_NUMBER = 0;

let generation = 0;
let next = 1;

export function textGeneration(): number {
  return generation;
}

/** Numbers are spent: texts get none until a generation begins. */
export function areTextNumbersSpent(): boolean {
  return next === HALF;
}

/** Whoever calls it forgets all texts with numbers, for they get other ones. */
export function beginTextGeneration(): void {
  generation++;
  next = 1;
}

/** Texts that become known get the numbers from this one to before `endOfTextNumbers`. */
export function nextTextNumber(): number {
  return next + (generation % 2) * HALF;
}

export function endOfTextNumbers(): number {
  return HALF + (generation % 2) * HALF;
}

/** Those to before `end` have been given. */
export function takeTextNumbers(end: number): void {
  next = end - (generation % 2) * HALF;
}

/** For tests: as if so many numbers were left. */
export function leaveTextNumbers(left: number): void {
  next = HALF - left;
}
