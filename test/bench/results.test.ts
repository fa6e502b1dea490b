import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { renderComparison } from "../../bench/compare.ts";
import { fileNameOf, readReport, readReports, saveReport, savedReportOf } from "../../bench/results.ts";
import { ingestReport, otherReport } from "./reports.ts";

function temporaryFolder(context: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-results-"));
  context.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("a report comes back from its file as it was, figures that are no numbers too", (context) => {
  const folder = join(temporaryFolder(context), "results");
  assert.deepEqual(readReports(folder), new Map());
  const file = saveReport(ingestReport, "ingest", folder);
  saveReport(otherReport, "zebra", folder);
  assert.deepEqual(readReport(file), ingestReport);
  assert.deepEqual([...readReports(folder).keys()], ["ingest", "zebra"]);
});

test("what is no report is refused with the name of its file", (context) => {
  const file = join(temporaryFolder(context), "ingest.json");
  for (const text of ["", "{}", JSON.stringify({ ...ingestReport, results: [{ name: "weir" }] })]) {
    writeFileSync(file, text);
    assert.throws(() => readReport(file), /ingest\.json is not a report/);
  }
});

test("a saved report names its command, and flags that change what is measured are in its file's name", () => {
  const { date, command, size, loadBefore, ...report } = ingestReport;
  const flags = new Set(["json", "questdb", "full"]);
  const saved = savedReportOf(report, { size: "full", flags }, { date: new Date(date), loadBefore });
  assert.deepEqual(saved, { ...ingestReport, size: "full", command: `${command} --questdb --full` });
  assert.notEqual(saved.size, size);
  assert.equal(fileNameOf("ingest", flags), "ingest-questdb");
  assert.equal(fileNameOf("ingest", new Set(["json"])), "ingest");
});

test("a point of a plot that could not be taken is left out", () => {
  const [plot] = ingestReport.plots ?? [];
  assert.ok(plot !== undefined);
  const report = { ...ingestReport, plots: [{ ...plot, points: [...plot.points, { series: "x", x: "x", y: Number.NaN }] }] };
  const saved = savedReportOf(report, { size: "normal", flags: new Set() }, { date: new Date(), loadBefore: 0 });
  assert.deepEqual(saved.plots, [plot]);
});

test("a comparison shows each figure and ratio that both have", () => {
  const [weir, naive] = ingestReport.results;
  assert.ok(weir !== undefined && naive !== undefined);
  const newer = {
    ...ingestReport,
    commit: "ba9876543210",
    results: [{ ...weir, figures: { eventsPerSecond: 624_691.2, somethingNew: 1 } }, naive],
    ratios: { "eventsPerSecond: weir / naive": 6.2 },
  };
  const text = renderComparison(ingestReport, newer);
  assert.match(text, /^ingest: 0123456789ab .* -> ba9876543210/);
  assert.match(text, /^eventsPerSecond +312,346 +624,691 +2$/m);
  assert.match(text, /^eventsPerSecond: weir \/ naive +3\.1 +6\.2 +2$/m);
  assert.doesNotMatch(text, /somethingNew|CAUTION/);
});

test("a comparison warns of what else was different", () => {
  const newer = {
    ...ingestReport,
    machine: { ...ingestReport.machine, cores: 64 },
    parameters: { seed: 2 },
    versions: { node: "24.1.0" },
    answersHash: "0",
    loadBefore: 3,
  };
  const cautions = [...renderComparison(ingestReport, newer).matchAll(/^CAUTION: (.*)$/gm)].map(([, caution]) => caution);
  assert.deepEqual(cautions, [
    "machine.cores: 2 -> 64",
    "parameters.seed: 1 -> 2",
    'parameters.settings: {"WEIR_QUESTDB":"off"} -> undefined',
    'node: "20.20.2" -> "24.1.0"',
    "the answers differ: other work was done",
    "the machine was busy before 2025-01-01T12:00:00.000Z: load 3.0",
  ]);
  assert.throws(() => renderComparison(ingestReport, otherReport), /two benches/);
});
