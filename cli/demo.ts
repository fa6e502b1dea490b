/**
 * `npm run demo`: a whole Weir in a minute. Starts a server with its warehouse in a fresh folder, defines metrics, streams a
 * day-shifted sample of real web requests through the client, waits for the warehouse, and shows that live values, metric
 * rows and raw rows agree. Keeps serving until Ctrl-C; `--once` ends there.
 */
import { mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { connect, type Subscription, type WeirClient } from "../client/index.ts";
import { WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import type { MetricDefinitionInput } from "../protocol/metric-definition.ts";
import { DAY_MS, HOUR_MS } from "../protocol/windows.ts";
import { parseConfig, type Config } from "../server/config.ts";
import { createLog } from "../server/log.ts";
import type { RunningServer } from "../server/main.ts";
import { openKeyStore } from "../server/key-store.ts";
import { compareAnswers, topPaths, warehouseCount, type DemoRange } from "./demo-answers.ts";
import { daysUntilNow, eventTimeOf, readEventFile, totalBytes } from "./event-files.ts";
import { exitCodes } from "./exit-codes.ts";
import { writeFailure } from "./failure.ts";
import { startProgress } from "./progress.ts";
import { addressesOf, drainOnSignal } from "./running-server.ts";
import { sendEvents } from "./send-events.ts";
import { formatCell, formatNumber } from "./table.ts";

const TENANT = "demo" as TenantId;
const FOLDER = join(".cache", "demo");
const WAREHOUSE_WAIT_MS = 120_000;

const metrics: readonly MetricDefinitionInput[] = [
  {
    name: "bytes_by_type",
    description: "Response sizes by event type",
    value: "properties.bytes",
    aggregates: ["count", "sum", "max", "quantiles"],
    dimensions: ["eventType"],
  },
  {
    name: "requests_by_device_and_type",
    description: "Requests by device and event type",
    aggregates: ["count"],
    dimensions: ["deviceType", "eventType"],
  },
  { name: "top_paths", description: "The most requested paths", value: "properties.path", aggregates: ["topK"] },
];

async function demo(): Promise<void> {
  const { values } = parseArgs({
    options: {
      once: { type: "boolean", default: false },
      questdb: { type: "string", default: "managed" },
      file: { type: "string", default: join("samples", "web-2015-05.ndjson.gz") },
    },
  });
  const { server, config } = await start(values.questdb);
  const addresses = addressesOf(config, server);
  const url = addresses["url"] ?? "";
  const key = await createKey(config);
  const client = connect({ url, key, client: "weir-demo" });
  let shown = false;
  try {
    step(`define ${metrics.length} metrics: ${metrics.map((metric) => metric.name).join(", ")}`);
    for (const metric of metrics) await client.defineMetric(metric);
    const { accepted, range } = await stream(client, values.file);
    const stored = await waitForWarehouse(client, url, range, accepted);
    await showAnswers(client, range, stored);
    shown = true;
  } finally {
    await client.close({ timeoutMs: 0 });
    if (values.once || !shown) await server.drain();
  }
  if (values.once) return;
  showAddresses(addresses, key);
  await drainOnSignal(server);
}

async function start(questdb: string): Promise<{ server: RunningServer; config: Config }> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const flags = {
    data: join(FOLDER, "data"),
    questdb,
    port: await portOr(7070),
    questdbHttpPort: await portOr(9000),
    questdbPgPort: await portOr(8812),
  };
  const config = parseConfig({ flags });
  step(`start a server on port ${config.port} in ${config.data}${questdb === "managed" ? ", with a QuestDB of its own" : ""}`);
  const log = createLog({ level: "warn", destination: process.stderr });
  const { startServer } = await import("../server/main.ts");
  try {
    return { server: await startServer(config, log), config };
  } catch (error) {
    const warehouseMissing = error instanceof WeirError && ["WEIR_START_NO_JAVA", "WEIR_START_NO_QUESTDB"].includes(error.code);
    if (!warehouseMissing) throw error;
    step(`${error.code}: ${error.message} Going on without a warehouse`);
    const without = parseConfig({ flags: { ...flags, questdb: "off" } });
    return { server: await startServer(without, log), config: without };
  }
}

/** The port when nothing listens there, else a free one. */
function portOr(preferred: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", () => (preferred === 0 ? reject(new WeirError("WEIR_START_PORT_IN_USE")) : resolve(portOr(0))));
    probe.listen(preferred, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : preferred;
      probe.close(() => resolve(port));
    });
  });
}

async function createKey(config: { data: string; partitions: number }): Promise<string> {
  step("create a key, as `weir keys create` does beside a running server");
  const control = openKeyStore(config, Date.now());
  try {
    return (await control.createKey(TENANT, ["write", "read", "admin"], Date.now())).key;
  } finally {
    await control.close();
  }
}

async function stream(client: WeirClient, file: string): Promise<{ accepted: number; range: DemoRange }> {
  const days = await daysUntilNow([file], Date.now());
  const range = await rangeOf(file, days);
  step(`stream ${file} over the WebSocket, ${days} days later: ${iso(range.from)} .. ${iso(range.to)}`);
  const live = ["events@24h", "active_users@24h", "active_sessions@24h"].map((channel) => client.subscribe(channel));
  const bytes = await totalBytes([file]);
  const progress = startProgress(false);
  const summary = await sendEvents(client, {
    files: [file],
    days,
    batchEvents: 100,
    ratePerSecond: undefined,
    onBadLine: (_, number, problem) => process.stderr.write(`WEIR_FILE_INVALID: ${problem} (${file}:${number})\n`),
    onProgress: ({ answered, bytesRead }) =>
      progress.update({
        share: bytes === undefined ? undefined : bytesRead / bytes,
        text: `${answered} acked | ${liveText(live)}`,
      }),
  });
  progress.stop();
  for (const subscription of live) subscription.close();
  const { accepted, seconds, eventsPerSecond, failed } = summary;
  step(`${formatNumber(accepted)} events accepted in ${formatNumber(seconds)} s: ${formatNumber(eventsPerSecond)} events/s`);
  for (const [code, count] of Object.entries(failed)) step(`${formatNumber(count)} refused: ${code}`);
  return { accepted, range };
}

function liveText(live: readonly Subscription[]): string {
  return live
    .map((subscription) => {
      const row = subscription.rows.values().next().value;
      return `${subscription.channel} ${formatCell(row?.["count"] ?? row?.["distinct"])}`;
    })
    .join(" | ");
}

/** Whole hours, so that every source counts exactly the same panes. */
async function rangeOf(file: string, days: number): Promise<DemoRange> {
  let [first, last] = [Infinity, -Infinity];
  for await (const { event } of readEventFile(file)) {
    const timeMs = event === undefined ? undefined : eventTimeOf(event);
    if (timeMs === undefined) continue;
    first = Math.min(first, timeMs + days * DAY_MS);
    last = Math.max(last, timeMs + days * DAY_MS);
  }
  return { from: Math.floor(first / HOUR_MS) * HOUR_MS, to: (Math.floor(last / HOUR_MS) + 1) * HOUR_MS };
}

/** False when there is no warehouse to wait for. */
async function waitForWarehouse(client: WeirClient, url: string, range: DemoRange, expected: number): Promise<boolean> {
  const state = await warehouseState(url);
  if (state !== "ready") {
    step(`the warehouse is ${state}: events are safe in the journal and answers come from live panes`);
    if (state === "off") return false;
  }
  const untilMs = Date.now() + (state === "ready" ? WAREHOUSE_WAIT_MS : WAREHOUSE_WAIT_MS / 4);
  let count = 0;
  while (Date.now() < untilMs) {
    count = await warehouseCount(client, range);
    if (count >= expected) {
      step(`QuestDB has all ${formatNumber(count)} events as raw rows and in metric rows`);
      return true;
    }
    await delay(200);
  }
  step(`QuestDB has ${formatNumber(count)} of ${formatNumber(expected)} events so far; the rest follows by itself`);
  return count > 0;
}

async function warehouseState(url: string): Promise<string> {
  const response = await fetch(`${url}/readyz`);
  const { warehouse } = (await response.json()) as { warehouse?: unknown };
  return String(warehouse);
}

async function showAnswers(client: WeirClient, range: DemoRange, withWarehouse: boolean): Promise<void> {
  step(withWarehouse ? "ask live panes, metric rows and raw rows the same questions" : "ask the live panes");
  const { table, agreed } = await compareAnswers(client, range, withWarehouse);
  print(`\n${table}\n`);
  print(`${await topPaths(client, range, 10)}\n`);
  if (withWarehouse) step(agreed ? "all answers agree" : "NOT all answers agree");
  if (!agreed) process.exitCode = exitCodes.partly;
}

function showAddresses(addresses: Readonly<Record<string, string>>, key: string): void {
  print("\nServing until Ctrl-C. Look at:");
  for (const [name, address] of Object.entries(addresses)) print(`  ${name.padEnd(10)} ${address}`);
  print(`  ${"key".padEnd(10)} ${key}\n`);
  print(`  export WEIR_URL=${addresses["url"] ?? ""} WEIR_KEY=${key}`);
  print("  node dist/cli/weir.js watch events@24h");
}

let steps = 0;

function step(text: string): void {
  print(`${++steps}. ${text}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 16);
}

try {
  await demo();
} catch (error) {
  writeFailure(error, false);
  process.exitCode = exitCodes.failed;
}
