/** `npm run bench -- compare OLD.json NEW.json`: what became of each figure, and what makes the two hard to compare. */
import { isDeepStrictEqual } from "node:util";
import { formatFigure, table } from "./render.ts";
import type { SavedReport } from "./results.ts";

export function renderComparison(older: SavedReport, newer: SavedReport): string {
  if (older.bench !== newer.bench) throw new Error(`they are of two benches: ${older.bench} and ${newer.bench}`);
  const lines = [
    `${older.bench}: ${older.commit} (${older.date}) -> ${newer.commit} (${newer.date})`,
    ...differences(older, newer).map((difference) => `CAUTION: ${difference}`),
  ];
  for (const { name, figures } of newer.results) {
    const before = older.results.find((result) => result.name === name)?.figures ?? {};
    const rows = rowsOf(before, figures);
    if (rows.length > 0) lines.push("", ...table([[name, "old", "new", "new / old"], ...rows]));
  }
  const ratios = rowsOf(older.ratios, newer.ratios);
  if (ratios.length > 0) {
    lines.push("", "Ratios of contenders that were measured in the same minutes: a slower minute does not change these.");
    lines.push(...table([["ratio", "old", "new", "new / old"], ...ratios]));
  }
  return lines.join("\n");
}

type Figures = Readonly<Record<string, number>>;

/** Of the figures that both have. */
function rowsOf(older: Figures, newer: Figures): string[][] {
  return Object.entries(newer).flatMap(([name, now]) => {
    const before = older[name];
    return before === undefined ? [] : [[name, formatFigure(before), formatFigure(now), formatFigure(now / before)]];
  });
}

function differences(older: SavedReport, newer: SavedReport): string[] {
  const found: string[] = [];
  const unequal = (what: string, before: unknown, now: unknown): void => {
    if (!isDeepStrictEqual(before, now)) found.push(`${what}: ${JSON.stringify(before)} -> ${JSON.stringify(now)}`);
  };
  for (const part of ["machine", "parameters"] as const) {
    const names = new Set([...Object.keys(older[part]), ...Object.keys(newer[part])]);
    for (const name of names) unequal(`${part}.${name}`, older[part][name], newer[part][name]);
  }
  unequal("node", older.versions["node"], newer.versions["node"]);
  if (older.answersHash !== newer.answersHash) found.push("the answers differ: other work was done");
  for (const report of [older, newer]) {
    if (report.loadBefore > BUSY) found.push(`the machine was busy before ${report.date}: load ${report.loadBefore.toFixed(1)}`);
  }
  return found;
}

/** A machine on which nothing else runs stays below. */
export const BUSY = 1;
