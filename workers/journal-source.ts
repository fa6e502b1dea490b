/** Event rows and dead-letter rows of one host's journal: accepted events and refused ones, as the record's verdicts say. */
import { readEvents } from "../protocol/event-reader.ts";
import type { Offset } from "../protocol/ids.ts";
import { partitionOf } from "../protocol/partition-hash.ts";
import type { FrameRecord } from "../protocol/records.ts";
import { ACCEPTED, codeOf, DUPLICATE } from "../protocol/verdicts.ts";
import type { JournalReader } from "../storage/lmdb/journal.ts";
import type { WarehouseRow } from "../storage/ports.ts";
import { deadLetterRow, eventRow } from "../storage/questdb/rows.ts";
import { deadLetterText } from "./dead-letter-text.ts";
import type { RowBatch, RowSource } from "./warehouse-writer.ts";
import { openRecordAt } from "./sealed-record.ts";

export function journalSourceName(host: number): string {
  return `journal-${host}`;
}

export class JournalSource implements RowSource {
  readonly name: string;
  readonly #host: number;
  readonly #journal: Pick<JournalReader, "ends" | "read">;
  readonly #partitionCount: number;
  readonly #skipped: ReadonlySet<number>;

  /** `skipped`: offsets of records that may be left out when they cannot be read. */
  constructor(
    host: number,
    journal: Pick<JournalReader, "ends" | "read">,
    partitionCount: number,
    skipped: ReadonlySet<number> = new Set(),
  ) {
    this.name = journalSourceName(host);
    this.#host = host;
    this.#journal = journal;
    this.#partitionCount = partitionCount;
    this.#skipped = skipped;
  }

  backlog(position: number): number {
    return Math.max(0, this.#journal.ends().last - position);
  }

  read(position: number, rowsMax: number): RowBatch {
    const events: WarehouseRow[] = [];
    const deadLetters: WarehouseRow[] = [];
    const { first } = this.#journal.ends();
    let reached = position;
    for (const { offset, record: bytes } of this.#journal.read(Math.max(position + 1, first) as Offset)) {
      const record = openRecordAt(bytes, this.#host, offset, this.#skipped.has(offset));
      if (record?.kind === "frame") this.#rowsOf(record, offset, events, deadLetters);
      reached = offset;
      if (events.length + deadLetters.length >= rowsMax) break;
    }
    return {
      position: reached,
      tables: new Map([
        ["events", events],
        ["dead_letters", deadLetters],
      ]),
      rows: events.length + deadLetters.length,
    };
  }

  #rowsOf(record: FrameRecord, offset: Offset, events: WarehouseRow[], deadLetters: WarehouseRow[]): void {
    const { tenant, ingestTimeMs, format } = record;
    const common = { tenant, ingestTimeMs, host: this.#host, offset };
    if (!record.decodable) {
      const raw = deadLetterText(format, record.bytes);
      deadLetters.push(
        deadLetterRow({ ...common, index: 0, code: codeOf(record.verdicts[0] ?? 0) ?? "", path: null, eventId: "", raw }),
      );
      return;
    }
    const partitionCount = this.#partitionCount;
    const columns = readEvents({ format, bytes: record.bytes, tenant, ingestTimeMs, partitionCount });
    for (let index = 0; index < columns.count; index++) {
      const verdict = record.verdicts[index] ?? ACCEPTED;
      if (verdict === DUPLICATE) continue;
      if (verdict === ACCEPTED) {
        const partition = partitionOf(tenant, columns.sessionIds[index] ?? "", partitionCount);
        const eventTimeMs = columns.eventTimesMs[index] ?? 0;
        events.push(eventRow({ ...common, event: columns.events[index], eventTimeMs, partition, index }));
      } else {
        deadLetters.push(
          deadLetterRow({
            ...common,
            index,
            code: codeOf(verdict) ?? "",
            path: columns.wrongPaths.get(index) ?? null,
            eventId: columns.eventIds.text(index),
            raw: deadLetterText(format, columns.raw(index)),
          }),
        );
      }
    }
  }
}
