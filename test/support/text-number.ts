/** A number for a text, as the reader takes them. */
import { nextTextNumber, takeTextNumbers } from "../../protocol/text-numbers.ts";

export function newTextNumber(): number {
  const number = nextTextNumber();
  takeTextNumbers(number + 1);
  return number;
}
