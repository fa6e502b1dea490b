import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { introductions, introductionOf, placeOf } from "../../../bench/report/introductions.ts";
import { PICTURES, renderPage } from "../../../bench/report/page.ts";
import { renderSvg } from "../../../bench/report/svg.ts";
import { readReports } from "../../../bench/results.ts";
import { projectRoot } from "../../support/project.ts";
import { ingestReport, otherReport } from "../reports.ts";

const reports = new Map([
  ["zebra-questdb", otherReport],
  ["fairness", { ...otherReport, command: "npm run bench -- fairness", loadBefore: 0 }],
  ["ingest", ingestReport],
]);

test("a page has a section for each report, in the known order, with its tables, ratios and plots", async () => {
  const { markdown, pictures } = await renderPage(reports);
  const headings = [...markdown.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
  assert.deepEqual(headings, ["Durable ingest", "Fairness", "zebra-questdb, with QuestDB"]);
  assert.match(markdown, /^\| {2}\| weir \(median of 3\) \| naive \(median of 3\) \|$/m);
  assert.match(markdown, /^\| eventsPerSecond \| 312,346 \| 100,000 \|$/m);
  assert.match(markdown, /^\| drainMs \| - \| - \|$/m);
  assert.match(markdown, /^\| {2}\| weir \/ naive \|$/m);
  assert.match(markdown, /^\| serverCpuUsPerEvent \| 0\.77 \|$/m);
  assert.match(markdown, /`npm run bench -- ingest`, 2025-01-01, commit `0123456789ab`, Node 20\.20\.2, on 2 cores of A CPU/);
  // Fewer figures than results: figures are the columns.
  assert.match(markdown, /^\| {2}\| nsPerEvent \| bytes \|$/m);
  assert.match(markdown, /^\| b\\\|c \(1 round\) \| 100 \| 8 \|$/m);
  assert.match(markdown, /^\| {2}\| durable \|\n\| --- \| --- \|\n\| a \| no \|$/m);
  assert.match(markdown, /^Note: skipped e: it is not installed$/m);
  assert.deepEqual([...pictures.keys()], ["ingest-1.svg", "ingest-2.svg"]);
  for (const name of pictures.keys()) assert.ok(markdown.includes(`(${PICTURES}/${name})`), name);
});

test("a page says which figures were taken on a busy machine", async () => {
  const { markdown } = await renderPage(reports);
  const busy = markdown.split("\n").filter((line) => line.includes("before it**"));
  assert.equal(busy.length, 1);
  assert.match(busy[0] ?? "", /zebra --questdb.*load average 4\.0 before/);
});

test("the same reports give the same page and pictures, byte for byte", async () => {
  assert.deepEqual(await renderPage(reports), await renderPage(new Map([...reports].toReversed())));
});

test("a picture shows its title, its axes, each series and each value", async () => {
  const [bars, lines] = ingestReport.plots ?? [];
  assert.ok(bars !== undefined && lines !== undefined);
  const drawnBars = await renderSvg(bars);
  for (const text of ["Events acknowledged", "events/s", "312,000", "100,000", ">weir<", ">naive<"]) {
    assert.ok(drawnBars.includes(text), text);
  }
  const drawnLines = await renderSvg(lines);
  for (const text of ["Ack latency", "load, %", ">ms<", ">weir<", ">naive<"]) assert.ok(drawnLines.includes(text), text);
  // A line for each series.
  const linesOf = (svg: string): string[] => svg.match(/<path[^>]*"line mark"[^>]*>/g) ?? [];
  assert.equal(linesOf(drawnLines).length, 2);
  assert.notDeepEqual(linesOf(drawnLines), linesOf(await renderSvg({ ...lines, y: { title: "ms" } })));
  assert.notEqual(drawnLines, await renderSvg({ ...lines, points: lines.points.slice(1) }));
});

test("variants stand with the bench that they are variants of", () => {
  assert.equal(introductionOf("ingest-batches").title, "Batch size");
  assert.equal(introductionOf("ingest-questdb").title, introductions["ingest"]?.title);
  assert.equal(introductionOf("ingestion").title, "ingestion");
  assert.ok(placeOf("ingest-questdb") < placeOf("ingest-batches"));
  assert.ok(placeOf("micro-reader") < placeOf("aardvark"));
});

test("docs/benchmarks.md is what `npm run bench -- report` makes of bench/results/", async () => {
  const { markdown, pictures } = await renderPage(readReports());
  const docs = join(projectRoot, "docs");
  assert.equal(readFileSync(join(docs, "benchmarks.md"), "utf8"), markdown);
  const kept = pictures.size === 0 ? [] : readdirSync(join(docs, PICTURES)).toSorted();
  assert.deepEqual(kept, [...pictures.keys()].toSorted());
  for (const [name, svg] of pictures) assert.equal(readFileSync(join(docs, PICTURES, name), "utf8"), svg, name);
});
