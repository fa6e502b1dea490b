/** Event ids: remembering new ones in a table that grows from nothing, and finding them again. */
import { TextColumn } from "../../protocol/text-column.ts";
import { Deduplicator } from "../../actors/deduplicate.ts";
import { eventIdOf } from "../workload.ts";
import { check, defaultRules, timed, type MicroInput, type MicroWork } from "./part.ts";

/** Enough that the table is far larger than the processor's caches, as a server's is. */
const IDS_PER_EVENT = 10;

export function deduplicationWorks({ frames, workload }: MicroInput): readonly MicroWork[] {
  const count = frames * workload.batch * IDS_PER_EVENT;
  const ids = TextColumn.of(Array.from({ length: count }, (_, number) => eventIdOf(workload.seed, number)));
  const filled = (): Deduplicator => {
    const dedup = new Deduplicator(defaultRules.dedupKey, defaultRules.dedupHorizonMs);
    dedup.advance(workload.nowMs);
    for (let row = 0; row < count; row++) if (!dedup.lookup(ids, row)) dedup.remember();
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
        const nsPerEvent = timed(count, () => {
          for (let row = 0; row < count; row++) if (known.lookup(ids, row)) found++;
        });
        check(found === count, `${found} of ${count} ids are found`);
        return { nsPerEvent };
      },
    },
  ];
}
