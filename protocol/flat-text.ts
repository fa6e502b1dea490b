/**
 * A copy of a text that stands on its own. msgpackr gives out texts as slices of a whole frame's text: keeping a slice keeps all
 * of that (4 KB for an id), and comparing with one goes through it. So columns hold copies, and whoever keeps a text out of
 * columns need not make one: the same instance that comes again is found by its address.
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** V8 copies what is shorter rather than slice it. */
const SLICE_LENGTH_MIN = 13;

export function flatText(text: string): string {
  // Only UTF-8 can be decoded again: a text with half a surrogate pair stays as it is.
  return text.length < SLICE_LENGTH_MIN || !text.isWellFormed() ? text : decoder.decode(encoder.encode(text));
}
