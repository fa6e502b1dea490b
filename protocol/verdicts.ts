/**
 * A verdict is what became of one event. It is one byte in columns and in the journal:
 * its number is part of the on-disk format, so numbers are never reused or changed.
 */
import { assert } from "./assert.ts";
import type { ErrorCode } from "./error-codes.ts";

export const ACCEPTED = 0;
export const DUPLICATE = 1;

/** Index = the verdict byte; the text is its error code. `undefined` for accepted. */
const codeByVerdict = [
  undefined,
  "WEIR_EVENT_DUPLICATE",
  "WEIR_EVENT_LATE",
  "WEIR_EVENT_NOT_A_MAP",
  "WEIR_EVENT_FIELD_MISSING",
  "WEIR_EVENT_FIELD_TYPE",
  "WEIR_EVENT_FIELD_LENGTH",
  "WEIR_EVENT_FIELD_ENCODING",
  "WEIR_EVENT_TIMESTAMP_INVALID",
  "WEIR_EVENT_TIMESTAMP_FUTURE",
  "WEIR_EVENT_PROPERTIES_TOO_LARGE",
  "WEIR_EVENT_NUMBER_INVALID",
  "WEIR_EVENT_VALUE_INVALID",
  "WEIR_FRAME_MALFORMED",
  "WEIR_FRAME_TOO_MANY_EVENTS",
  "WEIR_FRAME_POISONED",
] as const satisfies readonly (ErrorCode | undefined)[];

export type VerdictCode = Exclude<(typeof codeByVerdict)[number], undefined>;
export const verdictCount = codeByVerdict.length;

const verdictByCode = new Map(codeByVerdict.map((code, verdict) => [code, verdict]));

export function verdictOf(code: VerdictCode): number {
  const verdict = verdictByCode.get(code);
  assert(verdict !== undefined, `no verdict for ${code}`);
  return verdict;
}

export function codeOf(verdict: number): VerdictCode | undefined {
  assert(verdict >= 0 && verdict < verdictCount, `no such verdict: ${verdict}`);
  return codeByVerdict[verdict];
}

/** Accepted and duplicate events succeed for their sender; all others are dead letters. */
export function isDeadLetter(verdict: number): boolean {
  return verdict > DUPLICATE;
}

/** The word of the ledger for a verdict: what `received` is the sum of. */
export type VerdictKind = "accepted" | "duplicate" | "late" | "invalid";

export function kindOf(verdict: number): VerdictKind {
  if (verdict === ACCEPTED) return "accepted";
  const code = codeOf(verdict);
  if (code === "WEIR_EVENT_DUPLICATE") return "duplicate";
  return code === "WEIR_EVENT_LATE" ? "late" : "invalid";
}
