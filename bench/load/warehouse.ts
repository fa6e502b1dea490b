/**
 * The way into QuestDB, with a QuestDB as Weir runs it, in the hands of the bench:
 *   at 10,000 and at 50,000 events/s   from the planned sending of an event to the first count of QuestDB that includes it
 *   away                               QuestDB is stopped, events come all the same; how fast the rows that wait get in after
 *   without warehouse                  the same load on a server with the warehouse off: the rest is what rows cost the server
 * In the end QuestDB must have exactly one row for each distinct event.
 *
 * Ages are those of a count: rows of two hosts' journals come side by side, so an event may be there somewhat earlier or later.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { cacheFolder, prepareRuntime } from "../../storage/questdb/runtime.ts";
import { QuestDbServer } from "../../storage/questdb/server.ts";
import { projectRoot } from "../../test/support/project.ts";
import { ExpectedAnswers } from "../expected-answers.ts";
import { reportOf, type BenchOptions, type BenchReport, type BenchResult, type Figures } from "../harness.ts";
import { LoadDriver, type RunFigures } from "../load-driver.ts";
import { childPids, processCpuUs } from "../process-cpu.ts";
import { WeirServer } from "../servers.ts";
import { cleanWorkload, type WorkloadParameters } from "../workload.ts";
import { agesOf, CountWatch, warehouseReady } from "./latency.ts";

const sizes = {
  small: { seconds: 1, rates: [2_000], awaySeconds: 1 },
  normal: { seconds: 15, rates: [10_000, 50_000], awaySeconds: 15 },
  full: { seconds: 60, rates: [10_000, 50_000], awaySeconds: 60 },
} as const;
/** Each has a seed of its own, or its events would be duplicates. */
const BATCH = 100;
const POLL_MS = 20;
const CAUGHT_UP_TIMEOUT_MS = 10 * 60_000;
const quiet = { info: () => undefined, warn: () => undefined };

export async function warehouse(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  progress("starting QuestDB");
  const questdb = await OwnQuestDb.start();
  const settings = { WEIR_QUESTDB: questdb.url };
  const server = await WeirServer.start({ codec: "records", settings });
  try {
    const load = new WarehouseLoad(server);
    await warehouseReady(server.url);
    const results: BenchResult[] = [];
    const result = (name: string, figures: Figures): void => void results.push({ name, rounds: 1, figures });
    for (const rate of size.rates) {
      progress(`${rate} events/s for ${size.seconds} s`);
      result(`${rate}/s`, await visibleAges(load, questdb, rate, size.seconds));
    }
    const [rate] = size.rates;
    progress(`QuestDB away for ${size.awaySeconds} s at ${rate} events/s`);
    result("away", await away(load, questdb, rate, size.awaySeconds));
    progress(`${rate} events/s with the warehouse off`);
    result("without warehouse", await withoutWarehouse(rate, size.seconds));
    await reached(questdb, load.expected.events);
    const counted = await questdb.count();
    if (counted !== load.expected.events) throw new Error(`QuestDB has ${counted} rows for ${load.expected.events} events`);
    const answer = await load.expected.verify(server);
    const parameters = { ...size, rates: size.rates.join(" and "), ...cleanWorkload, duplicatesPer100: 0 };
    return reportOf("warehouse", parameters, withWriterCpu(results), {}, answer);
  } finally {
    await server.stop();
    await questdb.close();
  }
}

/** What rows cost the server process for an event: what it needs more than one that writes none. */
function withWriterCpu(results: readonly BenchResult[]): BenchResult[] {
  const without = results.find(({ name }) => name === "without warehouse")?.figures["serverCpuUsPerEvent"] ?? Number.NaN;
  return results.map((each, index) => {
    if (index > 0) return each;
    const writerCpuUsPerEvent = (each.figures["serverCpuUsPerEvent"] ?? Number.NaN) - without;
    return { ...each, figures: { ...each.figures, writerCpuUsPerEvent } };
  });
}

/** A QuestDB that can be stopped and started; its folder stays until `close`. */
class OwnQuestDb {
  readonly #root: string;
  readonly #server: QuestDbServer;
  #pid = 0;
  #http: QuestDbHttp | undefined;

  private constructor(root: string, server: QuestDbServer) {
    this.#root = root;
    this.#server = server;
  }

  static async start(): Promise<OwnQuestDb> {
    const cache = cacheFolder(process.env, projectRoot);
    const { java, jar } = await prepareRuntime({ env: process.env, home: homedir(), cache, progress: console.error });
    const root = await mkdtemp(join(tmpdir(), "weir-bench-questdb-"));
    const server = new QuestDbServer({ root, httpPort: 0, pgPort: 0, java: java.program, jar, log: quiet });
    const questdb = new OwnQuestDb(root, server);
    await questdb.resume();
    return questdb;
  }

  get url(): string {
    return this.#server.url;
  }

  async resume(): Promise<void> {
    const before = new Set(childPids(process.pid));
    await this.#server.start();
    this.#pid = childPids(process.pid).find((pid) => !before.has(pid)) ?? 0;
    this.#http = new QuestDbHttp({ url: this.#server.url });
  }

  async pause(): Promise<void> {
    await this.#http?.close();
    await this.#server.stop();
  }

  async close(): Promise<void> {
    await this.pause();
    await rm(this.#root, { recursive: true, force: true });
  }

  /** NaN where it cannot be known. */
  cpuUs(): number {
    return this.#pid === 0 ? Number.NaN : processCpuUs(this.#pid);
  }

  /** Rows of raw events that a question sees; 0 before there is a table. */
  async count(): Promise<number> {
    const tables = await this.#http?.exec("select table_name from tables() where table_name = 'events'");
    if (tables === undefined || tables.rows.length === 0) return 0;
    const answer = await this.#http?.exec("select count() from events");
    return Number(answer?.rows[0]?.[0] ?? 0);
  }
}

/** Sends one workload after the other to one server. */
class WarehouseLoad {
  readonly #server: WeirServer;
  readonly expected = new ExpectedAnswers();
  #seed: number = cleanWorkload.seed;

  constructor(server: WeirServer) {
    this.#server = server;
  }

  async run(rate: number, seconds: number): Promise<{ run: RunFigures; cpuUsPerEvent: number }> {
    const workload: WorkloadParameters = {
      ...cleanWorkload,
      batch: BATCH,
      duplicatesPer100: 0,
      seed: this.#seed++,
      nowMs: Date.now(),
    };
    const frames = Math.ceil((rate * seconds) / BATCH);
    this.expected.add(workload, frames);
    const { streamUrl: url, key, codec } = this.#server;
    const { driver } = await LoadDriver.start({ url, key, codec, connections: 1 }, workload);
    try {
      const cpuBeforeUs = this.#server.cpuUs();
      const run = await driver.run(frames, { kind: "open", framesPerSecond: rate / BATCH });
      return { run, cpuUsPerEvent: (this.#server.cpuUs() - cpuBeforeUs) / (frames * BATCH) };
    } finally {
      driver.stop();
    }
  }
}

async function visibleAges(load: WarehouseLoad, questdb: OwnQuestDb, rate: number, seconds: number): Promise<Figures> {
  const before = load.expected.events;
  const events = Math.ceil((rate * seconds) / BATCH) * BATCH;
  const watch = new CountWatch(events);
  const questdbCpuBeforeUs = questdb.cpuUs();
  const counting = countUntil(questdb, watch, before);
  // Whoever waits for it hears of a failure.
  counting.catch(() => undefined);
  const { run, cpuUsPerEvent } = await load.run(rate, seconds);
  await counting;
  return {
    ackP99Ms: run.ackP99Ms,
    ...agesOf("visible", watch, run, rate / BATCH, BATCH),
    serverCpuUsPerEvent: cpuUsPerEvent,
    questdbCpuUsPerEvent: (questdb.cpuUs() - questdbCpuBeforeUs) / events,
  };
}

async function countUntil(questdb: OwnQuestDb, watch: CountWatch, before: number): Promise<void> {
  const deadlineMs = Date.now() + CAUGHT_UP_TIMEOUT_MS;
  while (!watch.isComplete) {
    if (Date.now() > deadlineMs)
      throw new Error(`QuestDB has ${await questdb.count()} rows, ${watch.target} more than ${before} are to come`);
    watch.note((await questdb.count()) - before);
    await sleep(POLL_MS);
  }
}

/** Events come while it is away; then it is back, and rows flow until all are there. */
async function away(load: WarehouseLoad, questdb: OwnQuestDb, rate: number, seconds: number): Promise<Figures> {
  const before = load.expected.events;
  await questdb.pause();
  const { run, cpuUsPerEvent } = await load.run(rate, seconds);
  await questdb.resume();
  const backMs = performance.now();
  await reached(questdb, before + 1);
  const firstRowMs = performance.now() - backMs;
  await reached(questdb, load.expected.events);
  const caughtUpMs = performance.now() - backMs;
  const rows = load.expected.events - before;
  return {
    ackP99Ms: run.ackP99Ms,
    serverCpuUsPerEvent: cpuUsPerEvent,
    rowsBehind: rows,
    firstRowMs,
    caughtUpMs,
    rowsPerSecond: (rows * 1_000) / Math.max(1, caughtUpMs - firstRowMs),
  };
}

async function reached(questdb: OwnQuestDb, rows: number): Promise<void> {
  const deadlineMs = Date.now() + CAUGHT_UP_TIMEOUT_MS;
  for (;;) {
    const counted = await questdb.count();
    if (counted >= rows) return;
    if (Date.now() > deadlineMs) throw new Error(`QuestDB has ${counted} of ${rows} rows`);
    await sleep(POLL_MS);
  }
}

async function withoutWarehouse(rate: number, seconds: number): Promise<Figures> {
  const server = await WeirServer.start({ codec: "records", settings: { WEIR_QUESTDB: "off" } });
  try {
    const load = new WarehouseLoad(server);
    const { run, cpuUsPerEvent } = await load.run(rate, seconds);
    await load.expected.verify(server);
    return { ackP99Ms: run.ackP99Ms, serverCpuUsPerEvent: cpuUsPerEvent };
  } finally {
    await server.stop();
  }
}
