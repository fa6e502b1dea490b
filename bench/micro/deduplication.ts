/** Event ids: remembering new ones in a table that grows from nothing, and finding them again. */
import { TextColumn } from "../../protocol/text-column.ts";
import { Deduplicator, HASHED_MAX } from "../../actors/deduplicate.ts";
import { eventIdOf } from "../workload.ts";
import { check, defaultRules, timed, type MicroInput, type MicroWork } from "./part.ts";

/** Enough that the table is far larger than the processor's caches, as a server's is. */
const IDS_PER_EVENT = 10;

export function deduplicationWorks({ frames, workload }: MicroInput): readonly MicroWork[] {
  const count = frames * workload.batch * IDS_PER_EVENT;
  const ids = TextColumn.of(Array.from({ length: count }, (_, number) => eventIdOf(workload.seed, number)));
  const rows = Int32Array.from({ length: count }, (_, row) => row);
  /** In batches, as a partition does it. */
  const lookUpAll = (dedup: Deduplicator, take: (known: boolean) => void): void => {
    for (let from = 0; from < count; from += HASHED_MAX) {
      const to = Math.min(count, from + HASHED_MAX);
      dedup.hash(ids, rows, from, to);
      for (let at = from; at < to; at++) take(dedup.lookupHashed(at - from));
    }
  };
  const filled = (): Deduplicator => {
    const dedup = new Deduplicator(defaultRules.dedupKey, defaultRules.dedupHorizonMs);
    dedup.advance(workload.nowMs);
    lookUpAll(dedup, (known) => known || dedup.remember());
    return dedup;
  };
  const known = filled();
  return [
    {
      name: "dedup: new ids",
      round() {
        let dedup = known;
        const nsPerEvent = timed(count, () => (dedup = filled()));
        check(dedup.count === count, `${dedup.count} of ${count} ids are remembered`);
        return { nsPerEvent };
      },
    },
    {
      name: "dedup: known ids",
      round() {
        let found = 0;
        const nsPerEvent = timed(count, () => lookUpAll(known, (isKnown) => isKnown && found++));
        check(found === count, `${found} of ${count} ids are found`);
        return { nsPerEvent };
      },
    },
  ];
}
