/**
 * A metric's filter as SQL over the `events` table, and over one event for rows that SQL cannot decide.
 * QuestDB calls two doubles equal when they are closer than 1e-10, so equality is decided by the JSON text, which is the
 * same for the same number, and a number that is merely close to the operand is unclear.
 */
import { fieldReader, resolveFieldPath } from "../../protocol/field-path.ts";
import type { FieldValue } from "../../protocol/field-path.ts";
import { assert } from "../../protocol/assert.ts";
import type { EventFilter, FilterTerm } from "../../protocol/metric-definition.ts";
import { rawField } from "./raw-field.ts";
import type { RawField } from "./raw-field.ts";
import { sqlNumber, sqlText } from "./sql-text.ts";

type Operand = string | number | boolean | null;

export interface RawFilter {
  /** Holds for matching rows; means nothing for unclear ones. */
  readonly condition: string;
  /** Holds for rows that only `matches` can decide. */
  readonly unclear: readonly string[];
  matches(event: unknown): boolean;
}

export function rawFilter(filter: EventFilter): RawFilter {
  const all = filter.all.map(rawTerm);
  const any = filter.any.map(rawTerm);
  const conditions = all.map((term) => term.condition);
  if (any.length > 0) conditions.push(`(${any.map((term) => term.condition).join(" OR ")})`);
  return {
    condition: conditions.length === 0 ? "true" : conditions.join(" AND "),
    unclear: [...all, ...any].flatMap((term) => term.unclear),
    matches: (event) => all.every((term) => term.matches(event)) && (any.length === 0 || any.some((term) => term.matches(event))),
  };
}

function rawTerm(term: FilterTerm): RawFilter {
  const path = resolveFieldPath(term.field);
  assert(path !== undefined, "a checked definition names only fields");
  const field = rawField(path);
  const read = fieldReader(path);
  const near = operandsOf(term).filter((operand) => typeof operand === "number");
  return {
    condition: termSql(field, term),
    unclear: [...(field.unclear === undefined ? [] : [field.unclear]), ...near.flatMap((operand) => nearSql(field, operand))],
    matches: (event) => termMatches(read(event), term),
  };
}

function operandsOf({ value }: FilterTerm): readonly Operand[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** What a value must be; the wording of the definition's operators in one place. */
function termMatches(value: FieldValue, term: FilterTerm): boolean {
  const operands = operandsOf(term);
  const [operand] = operands;
  switch (term.op) {
    case "eq":
    case "in":
      return operands.some((each) => each === value);
    case "ne":
      return operand !== value;
    case "contains":
      return typeof value === "string" && typeof operand === "string" && value.includes(operand);
    case "exists":
      return value !== undefined && value !== null;
    default:
      if (typeof value !== "number" || typeof operand !== "number") return false;
      if (term.op === "gt") return value > operand;
      if (term.op === "gte") return value >= operand;
      return term.op === "lt" ? value < operand : value <= operand;
  }
}

function termSql(field: RawField, term: FilterTerm): string {
  const operands = operandsOf(term);
  const [operand] = operands;
  switch (term.op) {
    case "eq":
    case "in":
      return `(${operands.map((each) => equalSql(field, each)).join(" OR ")})`;
    case "ne":
      return `NOT ${equalSql(field, operand ?? null)}`;
    case "contains":
      if (typeof operand !== "string") return "false";
      // QuestDB finds no empty text in any.
      if (operand === "") return `(${field.text} IS NOT NULL AND ${isTextSql(field)})`;
      return `(strpos(${field.text}, ${sqlText(operand)}) > 0 AND ${isTextSql(field)})`;
    case "exists":
      return `${field.text} IS NOT NULL`;
    default: {
      if (typeof operand !== "number" || field.isNumber === undefined || field.number === undefined) return "false";
      const beyond = `${field.number} ${term.op.startsWith("gt") ? ">" : "<"} ${sqlNumber(operand)}`;
      const orEqual = term.op.endsWith("te") ? `(${beyond} OR ${field.text} = ${sqlText(String(operand))})` : beyond;
      return `(${field.isNumber} AND ${orEqual})`;
    }
  }
}

function equalSql(field: RawField, operand: Operand): string {
  // A null in the JSON is unclear, so it never comes here.
  if (operand === null) return "false";
  const same = `${field.text} = ${sqlText(String(operand))}`;
  if (typeof operand === "string") return `(${same} AND ${isTextSql(field)})`;
  const isType = typeof operand === "number" ? field.isNumber : field.isBoolean;
  return isType === undefined ? "false" : `(${same} AND ${isType})`;
}

function isTextSql({ isNumber, isBoolean }: RawField): string {
  return isNumber === undefined || isBoolean === undefined ? "true" : `NOT ${isNumber} AND NOT ${isBoolean}`;
}

function nearSql(field: RawField, operand: number): string[] {
  if (field.isNumber === undefined || field.number === undefined) return [];
  const near = `abs(${field.number} - ${sqlNumber(operand)}) < 0.00000001`;
  return [`(${field.isNumber} AND ${field.text} != ${sqlText(String(operand))} AND ${near})`];
}
