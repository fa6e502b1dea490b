/**
 * Outcomes on their way from a host to the gateway: their numbers in one array, for which a message between threads is a copy of
 * memory. A list of objects is written and read property by property, on both sides, which shows with frames of one
 * event (`npm run bench -- ingest-batches`). Only what has results or was refused travels as an object too, by its place.
 *
 *   numbers: id offset totalEvents failedEvents | id offset totalEvents failedEvents | ...
 *   notes:   [{at: 1, results, refused?}]
 *
 * Law: unpack(pack(outcomes)) = outcomes, in their order (`packed-outcomes.property.test.ts`).
 */
import type { HostOutcome } from "./messages.ts";

const NUMBERS = 4;
const noResults: HostOutcome["results"] = [];

export interface PackedOutcomes {
  readonly numbers: Float64Array;
  /** Ascending. */
  readonly notes: readonly OutcomeNote[];
}

/** What numbers don't say of the outcome at a place. */
type OutcomeNote = { readonly at: number } & Pick<HostOutcome, "results" | "refused">;

export function packOutcomes(outcomes: readonly HostOutcome[]): PackedOutcomes {
  const numbers = new Float64Array(outcomes.length * NUMBERS);
  const notes: OutcomeNote[] = [];
  for (let at = 0, next = 0; at < outcomes.length; at++) {
    const { id, offset, totalEvents, failedEvents, results, refused } = outcomes[at] as HostOutcome;
    numbers[next++] = id;
    numbers[next++] = offset;
    numbers[next++] = totalEvents;
    numbers[next++] = failedEvents;
    if (refused !== undefined) notes.push({ at, results, refused });
    else if (results.length > 0) notes.push({ at, results });
  }
  return { numbers, notes };
}

export function unpackOutcomes({ numbers, notes }: PackedOutcomes): HostOutcome[] {
  const outcomes: HostOutcome[] = [];
  let nextNote = 0;
  for (let at = 0; at * NUMBERS < numbers.length; at++) {
    const first = at * NUMBERS;
    const id = numbers[first] ?? 0;
    const offset = numbers[first + 1] ?? 0;
    const totalEvents = numbers[first + 2] ?? 0;
    const failedEvents = numbers[first + 3] ?? 0;
    const note = notes[nextNote]?.at === at ? notes[nextNote++] : undefined;
    const results = note?.results ?? noResults;
    const { refused } = note ?? {};
    if (refused === undefined) outcomes.push({ id, offset, totalEvents, failedEvents, results });
    else outcomes.push({ id, offset, totalEvents, failedEvents, results, refused });
  }
  return outcomes;
}
