/**
 * Warehouse rows as InfluxDB line protocol, the text form that QuestDB's `/write` takes:
 *
 *     table,symbol=value,... field="text",field=12i,field=0.5,field=1000t 1431857100000000t\n
 *
 * It writes the bytes that the Sender of @questdb/nodejs-client writes for the same rows (protocol 2, microseconds), but
 * doubles as text, as protocol 1 does: the shortest text that reads back as the same double, which QuestDB parses exactly.
 * A test holds it to that. Three differences, all where the Sender loses something: negative zero keeps its sign, NUL
 * (which QuestDB refuses) becomes U+FFFD, and not-a-number and infinities, which QuestDB stores as null, are left out.
 * A null cell is left out: that is how the protocol says null. An empty text is a text, also in a SYMBOL column.
 */
import { assert } from "../../protocol/assert.ts";
import type { WarehouseCell, WarehouseRow } from "../ports.ts";
import { storedText } from "./sql-text.ts";
import type { ColumnType, TableDefinition } from "./tables.ts";

export interface IlpBatch {
  readonly body: Buffer;
  readonly rowCount: number;
}

export interface IlpBatchLimits {
  readonly rowsMax: number;
  /** A row that is larger alone goes alone. */
  readonly bytesMax: number;
}

const FIRST_BUFFER_BYTES = 64 * 1024;
const UTF8_BYTES_PER_UNIT_MAX = 3;

/** `prefix` stands before the value: `,tenant=` for a symbol, `count=` for a field. */
interface ColumnEncoder {
  readonly cell: number;
  readonly name: string;
  readonly type: ColumnType;
  readonly prefix: string;
}

export class IlpEncoder {
  readonly #table: TableDefinition;
  readonly #symbols: readonly ColumnEncoder[];
  readonly #fields: readonly ColumnEncoder[];

  constructor(table: TableDefinition) {
    this.#table = table;
    const encoders = table.columns.map((column, cell) => ({ ...column, cell, prefix: `${column.name}=` }));
    assert(encoders[0]?.type === "TIMESTAMP", "the first column is the designated timestamp");
    this.#symbols = encoders.filter((each) => each.type === "SYMBOL").map((each) => ({ ...each, prefix: `,${each.prefix}` }));
    this.#fields = encoders.filter((each) => each.cell > 0 && each.type !== "SYMBOL");
  }

  /**
   * The rows in order, in as many batches as the limits ask for; a batch is encoded when it is asked for.
   * Its bytes are the caller's.
   */
  *batches(rows: readonly WarehouseRow[], { rowsMax, bytesMax }: IlpBatchLimits): Generator<IlpBatch> {
    let body: Buffer = Buffer.allocUnsafe(FIRST_BUFFER_BYTES);
    let end = 0;
    let rowCount = 0;
    for (const row of rows) {
      const line = this.line(row);
      body = withRoom(body, end, line.length * UTF8_BYTES_PER_UNIT_MAX);
      let lineBytes = body.write(line, end);
      if (rowCount === rowsMax || (rowCount > 0 && end + lineBytes > bytesMax)) {
        yield { body: body.subarray(0, end), rowCount };
        body = Buffer.allocUnsafe(Math.max(FIRST_BUFFER_BYTES, line.length * UTF8_BYTES_PER_UNIT_MAX));
        lineBytes = body.write(line, 0);
        end = 0;
        rowCount = 0;
      }
      end += lineBytes;
      rowCount++;
    }
    if (rowCount > 0) yield { body: body.subarray(0, end), rowCount };
  }

  /** One row as text, with its line end. */
  line(row: WarehouseRow): string {
    assert(row.length === this.#table.columns.length, `a row of ${this.#table.name} has one cell for each column`);
    let line: string = this.#table.name;
    for (const { cell, name, prefix } of this.#symbols) {
      const value = row[cell];
      if (value === null || value === undefined) continue;
      if (typeof value !== "string") wrongCell(name, value);
      line += prefix + escapeSymbol(value);
    }
    let separator = " ";
    for (const { cell, name, type, prefix } of this.#fields) {
      const value = row[cell];
      if (value === null || value === undefined) continue;
      const text = fieldText(name, type, value);
      if (text === undefined) continue;
      line += separator + prefix + text;
      separator = ",";
    }
    const ts = row[0];
    if (typeof ts !== "number") wrongCell("ts", ts);
    return `${line} ${micros(ts)}t\n`;
  }
}

/** The same bytes in a buffer that has room for so many more. */
function withRoom(body: Buffer, end: number, bytes: number): Buffer {
  if (end + bytes <= body.length) return body;
  const larger = Buffer.allocUnsafe(Math.max(end + bytes, body.length * 2));
  body.copy(larger, 0, 0, end);
  return larger;
}

function fieldText(name: string, type: ColumnType, value: string | number | boolean): string | undefined {
  switch (type) {
    case "VARCHAR":
      if (typeof value === "string") return `"${escapeText(value)}"`;
      break;
    case "INT":
    case "LONG":
      if (typeof value === "number" && Number.isSafeInteger(value)) return `${value}i`;
      break;
    case "DOUBLE":
      if (typeof value === "number") return Number.isFinite(value) ? doubleText(value) : undefined;
      break;
    case "TIMESTAMP":
      if (typeof value === "number") return `${micros(value)}t`;
      break;
    case "BOOLEAN":
      if (typeof value === "boolean") return value ? "t" : "f";
      break;
    case "SYMBOL":
      break;
  }
  wrongCell(name, value);
}

function wrongCell(name: string, value: WarehouseCell | undefined): never {
  assert(false, `a cell of column ${name} cannot be a ${typeof value}`);
}

/** Epoch milliseconds, with a fraction or not, as whole microseconds. */
function micros(epochMs: number): number {
  const value = Math.round(epochMs * 1_000);
  assert(Number.isSafeInteger(value), "a timestamp must be between the years 1685 and 2255");
  return value;
}

function doubleText(value: number): string {
  return value === 0 && Object.is(value, -0) ? "-0" : String(value);
}

// One look at a text decides: nearly all of them need nothing.
const symbolNeedsCare = /[ ,=\\\n\r\0\ud800-\udfff]/;
const textNeedsCare = /["\\\n\r\0\ud800-\udfff]/;

function escapeSymbol(value: string): string {
  return symbolNeedsCare.test(value) ? storedText(value).replace(/[ ,=\\\n\r]/g, "\\$&") : value;
}

/** JSON is full of quotes: replacing one text by another is a third faster than a pattern. */
function escapeText(value: string): string {
  if (!textNeedsCare.test(value)) return value;
  let text = storedText(value);
  if (text.includes("\\")) text = text.replaceAll("\\", "\\\\");
  if (text.includes('"')) text = text.replaceAll('"', '\\"');
  if (text.includes("\n")) text = text.replaceAll("\n", "\\\n");
  if (text.includes("\r")) text = text.replaceAll("\r", "\\\r");
  return text;
}
