/**
 * A metric's filter, compiled. Binding it to a frame fetches each field's column once; what is left per row is comparisons.
 *
 * Comparisons are strict: the text "1", the number 1 and true are three values. An absent field (undefined) equals nothing,
 * null included, so `eq` and `in` are false for it and `ne` is true. Order operators are true for numbers only, `contains`
 * for texts only; `exists` means neither absent nor null.
 */
import type { EventColumns } from "./event-columns.ts";
import { NUMBER } from "./field-column.ts";
import { resolveFieldPath, type FieldValue } from "./field-path.ts";
import type { EventFilter, FilterTerm } from "./metric-definition.ts";
import { NOT_KNOWN, TextMemo } from "./text-memo.ts";

/** Bound to one frame: whether row `row` passes. */
export type RowFilter = (row: number) => boolean;

type Test = (value: FieldValue) => boolean;

interface CompiledTerm {
  readonly path: string;
  readonly test: Test;
  /** What it says of texts that came before: comparing a text costs more than looking its number up. */
  readonly memo: TextMemo;
}

const MEMO_TEXTS = 256;

/** True when all of `all` hold and, where `any` has terms, at least one of them. */
export function compileFilter(filter: EventFilter): (columns: EventColumns) => RowFilter {
  const all = filter.all.map(compileTerm);
  const any = filter.any.map(compileTerm);
  return (columns) => {
    const needed = all.map((term) => bind(term, columns));
    const sufficient = any.map((term) => bind(term, columns));
    if (needed.length === 1 && sufficient.length === 0 && needed[0] !== undefined) return needed[0];
    return (row) => passesAll(needed, row) && (sufficient.length === 0 || passesAny(sufficient, row));
  };
}

function bind({ path, test, memo }: CompiledTerm, columns: EventColumns): RowFilter {
  const column = columns.column(path);
  return (row) => {
    const kind = column.kind(row);
    const known = memo.get(kind);
    if (known !== NOT_KNOWN) return known === 1;
    const passes = test(column.value(row));
    if (kind !== NUMBER) memo.put(kind, passes ? 1 : 0);
    return passes;
  };
}

function passesAll(filters: readonly RowFilter[], row: number): boolean {
  for (const filter of filters) if (!filter(row)) return false;
  return true;
}

function passesAny(filters: readonly RowFilter[], row: number): boolean {
  for (const filter of filters) if (filter(row)) return true;
  return false;
}

function compileTerm(term: FilterTerm): CompiledTerm {
  return { path: resolveFieldPath(term.field) ?? term.field, test: compileTest(term), memo: new TextMemo(MEMO_TEXTS) };
}

function compileTest({ op, value: operand }: FilterTerm): Test {
  switch (op) {
    case "eq":
      return (value) => value !== undefined && value === operand;
    case "ne":
      return (value) => value === undefined || value !== operand;
    case "in": {
      const accepted = new Set<FieldValue>(Array.isArray(operand) ? operand : []);
      return (value) => value !== undefined && accepted.has(value);
    }
    case "contains":
      return (value) => typeof value === "string" && typeof operand === "string" && value.includes(operand);
    case "exists":
      return (value) => value !== undefined && value !== null;
    default:
      return typeof operand === "number" ? compileOrder(op, operand) : () => false;
  }
}

function compileOrder(op: "gt" | "gte" | "lt" | "lte", operand: number): Test {
  switch (op) {
    case "gt":
      return (value) => typeof value === "number" && value > operand;
    case "gte":
      return (value) => typeof value === "number" && value >= operand;
    case "lt":
      return (value) => typeof value === "number" && value < operand;
    case "lte":
      return (value) => typeof value === "number" && value <= operand;
  }
}
