/**
 * Law: for any row of any table, our encoder writes the bytes that the Sender of @questdb/nodejs-client writes for it:
 * protocol 2, with doubles in the text form of protocol 1. The rows leave out what the Sender loses (see the encoder).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createBuffer, SenderOptions } from "@questdb/nodejs-client";
import fc from "fast-check";
import type { WarehouseRow } from "../../../storage/ports.ts";
import { IlpEncoder } from "../../../storage/questdb/ilp-encoder.ts";
import { tables } from "../../../storage/questdb/tables.ts";
import type { TableDefinition } from "../../../storage/questdb/tables.ts";
import { arbitraryRow } from "./support/arbitrary-rows.ts";

/** Protocol 1 for a table with doubles, else 2: they differ in doubles and in the unit of the row's own timestamp. */
function senderBytes(table: TableDefinition, rows: readonly WarehouseRow[]): string {
  const version = table.columns.some((column) => column.type === "DOUBLE") ? 1 : 2;
  const options = new SenderOptions(`http::addr=localhost:9000;protocol_version=${version}`);
  const buffer = createBuffer(options);
  for (const row of rows) {
    buffer.table(table.name);
    for (const symbols of [true, false]) {
      table.columns.forEach((column, index) => {
        const cell = row[index];
        if (index === 0 || cell === null || (column.type === "SYMBOL") !== symbols) return;
        if (typeof cell === "string" && symbols) buffer.symbol(column.name, cell);
        else if (typeof cell === "string") buffer.stringColumn(column.name, cell);
        else if (typeof cell === "boolean") buffer.booleanColumn(column.name, cell);
        else if (cell !== undefined && column.type === "DOUBLE") buffer.floatColumn(column.name, cell);
        else if (cell !== undefined && column.type === "TIMESTAMP")
          buffer.timestampColumn(column.name, Math.round(cell * 1000), "us");
        else if (cell !== undefined) buffer.intColumn(column.name, cell);
      });
    }
    buffer.at(BigInt(Math.round(Number(row[0]) * 1000)), "us");
  }
  const text = buffer.toBufferNew()?.toString() ?? "";
  return version === 2 ? text : text.replace(/ (\d+)000\n/g, " $1t\n");
}

function withoutWhatTheSenderLoses(row: WarehouseRow): WarehouseRow {
  return row.map((cell) => {
    if (typeof cell === "string") return cell.replaceAll("\0", "");
    return typeof cell === "number" && (!Number.isFinite(cell) || Object.is(cell, -0)) ? null : cell;
  });
}

for (const table of Object.values(tables)) {
  test(`rows of ${table.name} are the Sender's bytes`, () => {
    const encoder = new IlpEncoder(table);
    fc.assert(
      fc.property(fc.array(arbitraryRow(table).map(withoutWhatTheSenderLoses), { minLength: 1, maxLength: 5 }), (rows) => {
        const batches = [...encoder.batches(rows, { rowsMax: 100, bytesMax: 1_000_000 })];
        assert.equal(Buffer.concat(batches.map((batch) => batch.body)).toString(), senderBytes(table, rows));
      }),
      { numRuns: 200 },
    );
  });
}

test("batches keep rows whole, in order and within the limits", () => {
  const encoder = new IlpEncoder(tables.sessions);
  fc.assert(
    fc.property(
      fc.array(arbitraryRow(tables.sessions), { maxLength: 30 }),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 1_000 }),
      (rows, rowsMax, bytesMax) => {
        const batches = [...encoder.batches(rows, { rowsMax, bytesMax })];
        assert.equal(Buffer.concat(batches.map((batch) => batch.body)).toString(), rows.map((row) => encoder.line(row)).join(""));
        for (const { body, rowCount } of batches) {
          assert.ok(rowCount <= rowsMax);
          assert.ok(body.length <= bytesMax || rowCount === 1);
        }
      },
    ),
  );
});
