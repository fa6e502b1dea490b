/**
 * One frame of events from a seed: any container, maps and records, fields in any order, absent, twice or unknown, each value good
 * or one that some rule or reader trips over. What it says, the readers and the schema have to agree on; nobody knows beforehand.
 */
import { eventFields, type EventField } from "../../../protocol/event-fields.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../random.ts";
import { MsgpackWriter } from "./byte-writer.ts";
import { INGEST_MS, oddTexts, oddTimes, oddValues } from "./odd-values.ts";

const texts = ["page_view", "a", "x".repeat(31), "x".repeat(32), "x".repeat(90), "São Paulo", "\u{1F600}", "🇩🇪 x"];
const ids = ["a", "visit-1", "0193b7f2-51c4-7d2a-9d0c-7b1e4a6f2c11", "x".repeat(64)];
const unknownNames = ["campaign", "", "eventID", "event", "constructor", "__proto__", "t", "events", "é".repeat(40)];

/** How often something unusual is done, of all times that it could be. */
interface Mood {
  readonly odd: number;
  readonly twice: number;
  readonly absent: number;
  readonly unknown: number;
  readonly wide: number;
  readonly damage: number;
}
const moods: readonly Mood[] = [
  { odd: 0, twice: 0, absent: 0, unknown: 0.1, wide: 0, damage: 0 },
  // One odd value among good ones is what the plain reader may take by mistake.
  { odd: 0.02, twice: 0, absent: 0, unknown: 0, wide: 0, damage: 0 },
  { odd: 0.06, twice: 0, absent: 0, unknown: 0.05, wide: 0, damage: 0 },
  { odd: 0.004, twice: 0.002, absent: 0.002, unknown: 0.05, wide: 0.01, damage: 0 },
  { odd: 0.05, twice: 0.02, absent: 0.02, unknown: 0.3, wide: 0.1, damage: 0 },
  { odd: 0.02, twice: 0.005, absent: 0.005, unknown: 0.1, wide: 0.02, damage: 1 },
];

export function forgeFrame(random: Random): Uint8Array {
  const mood = random.pick(moods);
  const frame = new FrameForge(random, mood).frame();
  return random.chance(mood.damage) ? mutate(frame, random, frame) : frame;
}

const writer = new MsgpackWriter();

class FrameForge {
  readonly #random: Random;
  readonly #mood: Mood;
  /** The shapes that the frame has defined, by their names. */
  readonly #shapes = new Map<string, number>();
  readonly #usesRecords: boolean;

  constructor(random: Random, mood: Mood) {
    this.#random = random;
    this.#mood = mood;
    this.#usesRecords = random.chance(0.5);
  }

  frame(): Uint8Array {
    const random = this.#random;
    const container = random.below(8);
    const count = random.chance(0.02) ? random.below(200) : random.below(6);
    if (container === 0) this.#event();
    else if (container === 1) this.#events(count);
    else {
      const others = random.chance(0.3) ? 1 : 0;
      writer.map(3 + others, this.#is("wide"));
      writer.text("t");
      writer.text("pub");
      writer.text("seq");
      writer.raw([1]);
      if (others > 0) {
        writer.text(random.pick(["more", "events", "sessionId"]));
        this.#any(2);
      }
      writer.text("events");
      this.#events(count);
    }
    return writer.take();
  }

  #events(count: number): void {
    writer.list(count);
    for (let index = 0; index < count; index++) {
      if (this.#random.chance(this.#mood.odd / 4)) writer.raw(this.#random.pick(oddValues));
      else this.#event();
    }
  }

  #event(): void {
    this.#map(eventFields);
  }

  /** A map or a record with these fields, as the mood has it. */
  #map(known: readonly EventField[]): void {
    const random = this.#random;
    const fields: (EventField | string)[] = known.filter(
      ({ isRequired }) => !this.#is("absent") && (isRequired || random.chance(0.5)),
    );
    if (random.chance(0.2)) shuffle(fields, random);
    if (this.#is("twice") && fields.length > 0) fields.push(random.pick(fields));
    while (this.#is("unknown")) fields.splice(random.below(fields.length + 1), 0, random.pick(unknownNames));
    const names = fields.map((field) => (typeof field === "string" ? field : field.name));
    const isRecord = this.#usesRecords && random.chance(0.95);
    if (isRecord) this.#head(names);
    else writer.map(fields.length, this.#is("wide"));
    fields.forEach((field, index) => {
      if (!isRecord) writer.text(names[index] ?? "", this.#is("wide"));
      if (typeof field === "string") this.#any(3);
      else this.#value(field);
    });
  }

  #head(names: readonly string[]): void {
    const key = names.join("\n");
    const known = this.#shapes.get(key);
    if (known !== undefined) return writer.raw([known]);
    // More shapes than there are numbers: an older one is defined anew, as encoders do.
    const id = 0x40 + (this.#shapes.size % 0x40);
    for (const [other, number] of this.#shapes) if (number === id) this.#shapes.delete(other);
    this.#shapes.set(key, id);
    writer.raw([0xd4, 0x72, id]);
    writer.list(names.length);
    for (const name of names) writer.text(name, this.#is("wide"));
  }

  #value({ kind, fields }: EventField): void {
    const random = this.#random;
    if (this.#is("odd")) return writer.raw(random.pick(random.chance(0.5) ? oddValues : oddOf(kind)));
    switch (kind) {
      case "id":
        return writer.text(random.pick(ids), this.#is("wide"));
      case "label":
      case "text":
        return writer.text(random.pick(texts), this.#is("wide"));
      case "timestamp":
        return this.#timestamp();
      case "map":
        return fields.length === 0 ? this.#properties() : this.#map(fields);
    }
  }

  #timestamp(): void {
    const random = this.#random;
    const timeMs = INGEST_MS - random.below(10) * 1_000 - random.below(2) * random.below(1_000);
    const form = random.below(5);
    if (form === 0) writer.double(timeMs);
    else if (form === 1) writer.uint64(timeMs);
    else if (form === 2) writer.timestamp(timeMs);
    else if (form === 3) writer.text(new Date(timeMs).toISOString());
    else writer.text(new Date(timeMs).toISOString().replace("Z", random.pick(["+00:00", "-01:30", "000Z", "z"])));
  }

  #properties(): void {
    const count = this.#random.below(4);
    writer.map(count, this.#is("wide"));
    for (let entry = 0; entry < count; entry++) {
      writer.text(this.#random.pick(["x", "value", "k0", "path", "größe"]));
      this.#any(3);
    }
  }

  /** Any value, `levels` deep at most. */
  #any(levels: number): void {
    const random = this.#random;
    if (this.#is("odd")) return writer.raw(random.pick(oddValues));
    switch (random.below(levels > 0 ? 7 : 5)) {
      case 0:
        return writer.text(random.pick(texts), this.#is("wide"));
      case 1:
        return writer.double(random.next() * 1_000);
      case 2:
        return writer.raw([random.below(0x40)]);
      case 3:
        return writer.raw([random.pick([0xc0, 0xc2, 0xc3, 0xe0, 0xff])]);
      case 4:
        return writer.raw([0xcd, random.below(256), random.below(256)]);
      case 5: {
        const count = random.below(3);
        writer.list(count);
        for (let item = 0; item < count; item++) this.#any(levels - 1);
        return;
      }
      default: {
        const names = ["a", "b", "x"].slice(0, random.below(4));
        if (this.#usesRecords) this.#head(names);
        else writer.map(names.length);
        for (const name of names) {
          if (!this.#usesRecords) writer.text(name);
          this.#any(levels - 1);
        }
      }
    }
  }

  #is(kind: keyof Mood): boolean {
    const chance = this.#mood[kind];
    return chance > 0 && this.#random.chance(chance);
  }
}

/** Values that a field of the kind nearly takes, or just takes. */
function oddOf(kind: EventField["kind"]): readonly Uint8Array[] {
  if (kind === "timestamp") return oddTimes;
  return kind === "map" ? oddValues : oddTexts;
}

function shuffle<Item>(items: Item[], random: Random): void {
  for (let at = items.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [items[at], items[other]] = [items[other] as Item, items[at] as Item];
  }
}
