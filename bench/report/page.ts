/**
 * `npm run bench -- report`: the saved reports as one page with tables and plots, `docs/benchmarks.md`. A pure function of the
 * reports: the same ones give the same page and pictures, byte for byte.
 */
import { BUSY } from "../compare.ts";
import { aboutRows, formatFigure, ratioRows, textOf } from "../render.ts";
import type { SavedReport } from "../results.ts";
import { introductionOf, placeOf } from "./introductions.ts";
import { renderSvg } from "./svg.ts";

export interface ReportPage {
  readonly markdown: string;
  /** Name of the file in the folder of pictures -> its SVG. */
  readonly pictures: ReadonlyMap<string, string>;
}

/** Where the pictures are, as the page says it. */
export const PICTURES = "benchmarks";

const head = `# Benchmarks
<!-- Written by \`npm run bench -- report\` from bench/results/*.json. Do not edit. -->
Each figure comes from a run that checked its answers against what was sent. How to run, read and compare: [bench/README.md](../bench/README.md).
Figures depend on the machine, which each section names; ratios were taken within rounds and depend on it less. Take less than 25% as equal.
`;

/** By the names of their files. */
export async function renderPage(reports: ReadonlyMap<string, SavedReport>): Promise<ReportPage> {
  const pictures = new Map<string, string>();
  const sections: string[] = [];
  const ordered = [...reports].toSorted(([one], [other]) => placeOf(one) - placeOf(other) || (one < other ? -1 : 1));
  for (const [name, report] of ordered) {
    const links: string[] = [];
    for (const [index, plot] of (report.plots ?? []).entries()) {
      if (plot.points.length === 0) continue;
      const file = `${name}-${index + 1}.svg`;
      pictures.set(file, await renderSvg(plot));
      links.push(`![${plot.title}](${PICTURES}/${file})`);
    }
    sections.push(sectionOf(name, report, links));
  }
  if (sections.length === 0) sections.push("There are no results yet: run a bench.\n");
  return { markdown: [head, ...sections].join("\n"), pictures };
}

function sectionOf(name: string, report: SavedReport, links: readonly string[]): string {
  const { title, text } = introductionOf(name);
  const variant = report.command.includes("--questdb") ? ", with QuestDB" : "";
  const busy =
    report.loadBefore > BUSY
      ? `, **load average ${report.loadBefore.toFixed(1)} before it**: other work, or a bench that had just ended`
      : "";
  const { cpu, cores, memoryGiB, system, ...others } = report.machine;
  const machine = [`${cores} cores of ${cpu}`, `${memoryGiB} GiB`, system, ...Object.values(others)].join(", ");
  return [
    `## ${title}${variant}`,
    ...(text === "" ? [] : [text]),
    `\`${report.command}\`, ${report.date.slice(0, 10)}, commit \`${report.commit}\`, Node ${report.versions["node"] ?? "?"}, on ${machine}${busy}.`,
    "",
    ...figuresTable(report),
    ...aboutTable(report),
    ...(Object.keys(report.ratios).length === 0 ? [] : ["", "Medians of the ratios within rounds:", "", ...ratiosTable(report)]),
    ...links.flatMap((link) => ["", link]),
    ...(report.notes ?? []).flatMap((note) => ["", `Note: ${note}`]),
    "",
    `Parameters: ${listed(report.parameters)}. Answers \`${report.answersHash}\`.`,
    "",
  ].join("\n");
}

function listed(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${textOf(value)}`)
    .join(", ");
}

/** Whichever of results and figures there are fewer of are the columns. */
function figuresTable({ results }: SavedReport): string[] {
  const names = [...new Set(results.flatMap(({ figures }) => Object.keys(figures)))];
  const titles = results.map(({ name, rounds }) => `${name} (${rounds === 1 ? "1 round" : `median of ${rounds}`})`);
  const cells = results.map(({ figures }) => names.map((name) => formatFigure(figures[name])));
  if (results.length <= names.length) {
    return markdownTable(
      ["", ...titles],
      names.map((name, row) => [name, ...cells.map((column) => column[row] ?? "")]),
    );
  }
  return markdownTable(
    ["", ...names],
    titles.map((title, row) => [title, ...(cells[row] ?? [])]),
  );
}

function aboutTable({ results }: SavedReport): string[] {
  const [header, ...rows] = aboutRows(results);
  return header === undefined ? [] : ["", ...markdownTable(header, rows, "---")];
}

function ratiosTable({ ratios }: SavedReport): string[] {
  const [header = [], ...rows] = ratioRows(ratios, "");
  return markdownTable(header, rows);
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[], rule = "---:"): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(header), line(header.map((_, column) => (column === 0 ? "---" : rule))), ...rows.map(line)];
}
