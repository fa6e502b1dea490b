/** Rows of any table with everything in them that could break a line: quotes, escapes, line ends, lone surrogates, nulls. */
import fc from "fast-check";
import type { WarehouseCell, WarehouseRow } from "../../../../storage/ports.ts";
import type { ColumnType, TableDefinition } from "../../../../storage/questdb/tables.ts";

const nastyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.string({ unit: fc.constantFrom(" ", ",", "=", "\\", "\n", "\r", '"', "'", "\t", "a", "é", "\u{1F600}"), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("\0", "\ud800", "\udfff", "x"), maxLength: 4 }),
  fc.constantFrom("", "null", "t", "1i", "0.5", "\\", '"', "__proto__"),
);
const double = fc.oneof(
  fc.double(),
  fc.constantFrom(-0, 0, 5e-324, Number.MAX_VALUE, -Number.MAX_VALUE, 0.1, 1e21, 1e-7, 123456789012345680),
);

const cells: Record<ColumnType, fc.Arbitrary<WarehouseCell>> = {
  TIMESTAMP: fc.oneof(fc.integer({ min: 946_684_800_000, max: 4_102_444_800_000 }), fc.constant(1431857100000.125)),
  SYMBOL: nastyText,
  VARCHAR: nastyText,
  INT: fc.integer({ min: -2147483647, max: 2147483647 }),
  LONG: fc.maxSafeInteger(),
  DOUBLE: double,
  BOOLEAN: fc.boolean(),
};

/** Keys are never null; every other cell may be. */
export function arbitraryRow(table: TableDefinition): fc.Arbitrary<WarehouseRow> {
  return fc.tuple(
    ...table.columns.map((column, index) => {
      const cell = cells[column.type];
      return index === 0 || table.upsertKeys.includes(column.name) ? cell : fc.option(cell, { nil: null, freq: 4 });
    }),
  );
}

/** The cell that QuestDB gives back for a cell that was written. */
export function storedCell(type: ColumnType, cell: WarehouseCell): WarehouseCell {
  if (typeof cell === "string") return wellFormed(cell);
  if (typeof cell !== "number") return cell;
  if (type === "DOUBLE") return Number.isFinite(cell) ? cell : null;
  return type === "TIMESTAMP" ? isoMicros(cell) : cell;
}

/** Not by the code under test: through the encoder of the platform. */
function wellFormed(text: string): string {
  return Buffer.from(text.replaceAll("\0", "\uFFFD"), "utf8").toString("utf8");
}

function isoMicros(epochMs: number): string {
  const micros = BigInt(Math.round(epochMs * 1000));
  const fraction = String(micros % 1000n).padStart(3, "0");
  return `${new Date(Number(micros / 1000n)).toISOString().slice(0, -1)}${fraction}Z`;
}
