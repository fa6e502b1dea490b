/**
 * A copy of a text that stands on its own. Decoders give out texts as slices of a whole frame's text: keeping a slice keeps all
 * of that (4 KB for an id), and comparing with one goes through it. So whoever keeps a text as a key keeps a copy.
 */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function flatText(text: string): string {
  // Only UTF-8 can be decoded again: a text with half a surrogate pair stays as it is.
  return text.isWellFormed() ? decoder.decode(encoder.encode(text)) : text;
}
