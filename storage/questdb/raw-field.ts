/**
 * A field of an event as SQL over the `events` table, with the same meaning as `fieldReader` has over the event.
 *
 * Names of the top level have columns; everything else is read from the JSON columns. QuestDB's json_extract is lenient:
 * it reads "5", true and "" as numbers or text alike. Its casts differ in what they forgive, and that gives types back:
 *
 *     JSON        text     ::double   ::long   ::timestamp::long
 *     5.5         5.5      5.5        5        5                  a number: the last two agree
 *     "5.5"       5.5      5.5        5        null
 *     true        true     1          1        null               a boolean: text true or false, and a number
 *     "true"      true     null       null     null
 *     null or ""  (empty)  null       null     null               not to be told apart
 *     [..] {..}   [.. {..  null       null     null               nor from a text that begins like that
 *
 * (Numbers are below 2^53: larger ones are not accepted in events.) What cannot be told apart is `unclear`: such rows are
 * read whole and decided in JS. So are rows with \u escapes, which json_extract does not resolve.
 */
import { sqlText } from "./sql-text.ts";

export interface RawField {
  readonly path: string;
  /** The value as text; SQL null when the event has none. Numbers and booleans read as JSON writes them. */
  readonly text: string;
  /** Conditions; undefined: never. */
  readonly isNumber: string | undefined;
  readonly isBoolean: string | undefined;
  /** The value as DOUBLE, where `isNumber` holds. */
  readonly number: string | undefined;
  /** Condition: `text` does not say what the value is. */
  readonly unclear: string | undefined;
  /** Condition: not even a number can be told. */
  readonly unreadable: string | undefined;
}

/** Fields that are texts or absent in every accepted event. */
const columnByPath: Readonly<Record<string, string>> = {
  eventId: "event_id",
  sessionId: "session_id",
  userId: "user_id",
  eventType: "event_type",
  eventCategory: "event_category",
  source: "source",
  version: "version",
  environment: "environment",
};

export function rawField(path: string): RawField {
  const column = columnByPath[path];
  if (column !== undefined) {
    return {
      path,
      text: column,
      isNumber: undefined,
      isBoolean: undefined,
      number: undefined,
      unclear: undefined,
      unreadable: undefined,
    };
  }
  const [document = "", ...parts] = path.split(".");
  // Other keys mean something else in a JSON path, and a list has a length in JS only.
  if (!parts.every((part) => /^[A-Za-z_][A-Za-z0-9_ -]*$/.test(part) && part !== "length")) {
    return {
      path,
      text: "null",
      isNumber: undefined,
      isBoolean: undefined,
      number: undefined,
      unclear: "true",
      unreadable: "true",
    };
  }
  const text = `json_extract(${document}, ${sqlText(parts.map((part) => `.${part}`).join(""))})`;
  const unreadable = `strpos(${document}, '\\u') > 0`;
  return {
    path,
    text,
    isNumber: `(${text}::double IS NOT NULL AND ${text}::timestamp::long = ${text}::long)`,
    isBoolean: `(${text} IN ('true', 'false') AND ${text}::double IS NOT NULL)`,
    number: `${text}::double`,
    unclear: `(${text} = '' OR ${text} LIKE '[%' OR ${text} LIKE '{%' OR ${unreadable})`,
    unreadable,
  };
}

/** An event as `fieldReader` takes it, from the columns of `eventColumnsSql`. */
export const eventColumnsSql = [...Object.values(columnByPath), "properties", "context"].join(", ");

export function eventOf(cells: readonly unknown[]): Readonly<Record<string, unknown>> {
  const names = Object.keys(columnByPath);
  const event: Record<string, unknown> = {};
  names.forEach((name, index) => {
    if (cells[index] !== null) event[name] = cells[index];
  });
  event["properties"] = JSON.parse(String(cells[names.length]));
  event["context"] = JSON.parse(String(cells[names.length + 1]));
  return event;
}
