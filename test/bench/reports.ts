/** Small reports for tests of what is made of reports. */
import type { SavedReport } from "../../bench/results.ts";

export const ingestReport: SavedReport = {
  bench: "ingest",
  date: "2025-01-01T12:00:00.000Z",
  command: "npm run bench -- ingest",
  size: "normal",
  loadBefore: 0.1,
  machine: { cpu: "A CPU", cores: 2, memoryGiB: 24, system: "Linux 6.1" },
  versions: { node: "20.20.2", v8: "11.3" },
  commit: "0123456789ab",
  parameters: { seed: 1, settings: { WEIR_QUESTDB: "off" } },
  results: [
    { name: "weir", rounds: 3, figures: { eventsPerSecond: 312_345.6, serverCpuUsPerEvent: 5.4321, drainMs: Number.NaN } },
    { name: "naive", rounds: 3, figures: { eventsPerSecond: 100_000, serverCpuUsPerEvent: 7 } },
  ],
  ratios: { "eventsPerSecond: weir / naive": 3.1, "serverCpuUsPerEvent: weir / naive": 0.77 },
  answersHash: "84d373dccca096c7",
  plots: [
    {
      title: "Events acknowledged",
      mark: "bars",
      x: { title: "" },
      y: { title: "events/s" },
      points: [
        { series: "weir", x: "weir", y: 312_345.6 },
        { series: "naive", x: "naive", y: 100_000 },
      ],
    },
    {
      title: "Ack latency",
      mark: "lines",
      x: { title: "load, %" },
      y: { title: "ms", log: true },
      points: [
        { series: "weir", x: 10, y: 2 },
        { series: "weir", x: 80, y: 30 },
        { series: "naive", x: 10, y: 1 },
        { series: "naive", x: 80, y: 90 },
      ],
    },
  ],
};

/** Of a bench that nothing is known of: many results, few figures, no plots. */
export const otherReport: SavedReport = {
  ...ingestReport,
  bench: "zebra",
  command: "npm run bench -- zebra --questdb",
  loadBefore: 4,
  results: ["a", "b|c", "d"].map((name, index) => ({
    name,
    rounds: 1,
    figures: { nsPerEvent: 100 * index, bytes: 8 },
    about: { durable: "no" },
  })),
  ratios: {},
  plots: [],
  notes: ["skipped e: it is not installed"],
};
