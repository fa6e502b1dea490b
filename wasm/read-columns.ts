/**
 * The columns of the frame that is being read, laid out as `protocol/plain-columns.ts` has them, so that they are copied out in one
 * piece; behind them the cells of the columns of values, which become JavaScript's values there.
 *
 *   cell    the number of a value, or -1 - the place in the frame of a text that is not kept
 */
import { columnsMax, frameAt, hasMemory } from "./read-memory";

/** The columns that every frame has, in front of the wanted ones; the first two have hashes. */
export const SESSION_COLUMN: u32 = 0;
export const USER_COLUMN: u32 = 1;
export const TYPE_COLUMN: u32 = 2;
export const FIRST_WANTED_COLUMN: u32 = 3;

/** Values that are no texts of a table; 0 is undefined. */
export const CELL_NULL: i32 = 1;
export const CELL_FALSE: i32 = 2;
export const CELL_TRUE: i32 = 3;
export const CELL_EMPTY: i32 = 4;

const KIND_NUMBER: i32 = -1;

export let columnsAt: usize = 0;
export let cellsAt: usize = 0;
export let count: u32 = 0;
export let row: u32 = 0;

let numbersAt: usize = 0;
let idStartsAt: usize = 0;
let idLengthsAt: usize = 0;
let startsAt: usize = 0;
let kindsAt: usize = 0;
let hashesAt: usize = 0;
let partitionsAt: usize = 0;

/** Places empty columns of so many rows; false: there is no room for them. */
export function openColumns(from: usize, rows: u32, wanted: u32): bool {
  if (wanted > columnsMax) return false;
  count = rows;
  row = 0;
  const all = FIRST_WANTED_COLUMN + wanted;
  columnsAt = (from + 7) & ~7;
  numbersAt = columnsAt + 8 * rows;
  idStartsAt = numbersAt + 8 * rows * wanted;
  idLengthsAt = idStartsAt + 4 * rows;
  startsAt = idLengthsAt + 4 * rows;
  kindsAt = startsAt + 4 * rows;
  hashesAt = kindsAt + 4 * rows * all;
  partitionsAt = hashesAt + 16 * rows;
  const verdictsAt = partitionsAt + 2 * rows;
  cellsAt = (verdictsAt + rows + 3) & ~3;
  const end = cellsAt + 4 * rows * all;
  if (!hasMemory(end)) return false;
  memory.fill(columnsAt, 0, end - columnsAt);
  return true;
}

export function nextRow(): void {
  row++;
}

export function keepStart(at: usize): void {
  store<u32>(startsAt + (row << 2), <u32>(at - frameAt));
}

export function keepTime(ms: f64): void {
  store<f64>(columnsAt + (row << 3), ms);
}

export function keepEventId(from: usize, length: u32): void {
  store<u32>(idStartsAt + (row << 2), <u32>(from - frameAt));
  store<u32>(idLengthsAt + (row << 2), length);
}

export function keepPartition(partition: u32): void {
  store<u16>(partitionsAt + (row << 1), <u16>partition);
}

/** A text of the session, user or type column, or of the wanted one `column - FIRST_WANTED_COLUMN`. */
export function keepText(column: u32, at: u32, cell: i32, textNumber: u32): void {
  const place: usize = (column * count + at) << 2;
  store<i32>(cellsAt + place, cell);
  store<u32>(kindsAt + place, textNumber);
}

/** Its hash, of the session or user column. */
export function keepHash(column: u32, at: u32, hash: u64): void {
  store<u64>(hashesAt + ((column * count + at) << 3), hash);
}

export function keepCell(wanted: u32, cell: i32): void {
  store<i32>(cellsAt + (((FIRST_WANTED_COLUMN + wanted) * count + row) << 2), cell);
}

export function keepNumber(wanted: u32, value: f64): void {
  store<f64>(numbersAt + ((wanted * count + row) << 3), value);
  store<i32>(kindsAt + (((FIRST_WANTED_COLUMN + wanted) * count + row) << 2), KIND_NUMBER);
}
