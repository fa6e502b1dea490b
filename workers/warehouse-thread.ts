/** The entry of the warehouse writer's thread: opens what it reads from, connects to QuestDB, and runs the writer. */
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../protocol/assert.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { openControl } from "../storage/control.ts";
import { openJournalReader } from "../storage/lmdb/journal.ts";
import { LmdbStore } from "../storage/lmdb/store.ts";
import type { Warehouse } from "../storage/ports.ts";
import { QuestDbHttp } from "../storage/questdb/http.ts";
import { QuestDbWarehouse } from "../storage/questdb/sender.ts";
import { createTables, tables } from "../storage/questdb/tables.ts";
import { readSkipped } from "../storage/skipped-records.ts";
import { PaneSource, SessionSource } from "./feed-sources.ts";
import { JournalSource } from "./journal-source.ts";
import { SafetyTail } from "./safety-tail.ts";
import type { FromWarehouse, ToWarehouse, WarehouseThreadOptions } from "./warehouse-messages.ts";
import { WarehouseWriter } from "./warehouse-writer.ts";

assert(parentPort !== null, "runs in a worker thread");
const port = parentPort;
const options = workerData as WarehouseThreadOptions;
const post = (message: FromWarehouse): void => port.postMessage(message);
const now = Date.now;

const control = openControl(options.controlPath);
const metricStore = LmdbStore.open(options.metricsPath, { fresh: true });
const journals = options.journalPaths.map((path) => openJournalReader(path));
const partitions = options.partitionPaths.map(({ id, path }) => ({ id, store: LmdbStore.open(path, { fresh: true }) }));

const stopping = new AbortController();
let target: string | undefined;

let restarted: Extract<ToWarehouse, { type: "restarted" }> | undefined;

async function connect(signal: AbortSignal): Promise<Warehouse> {
  await takeRestart();
  if (target === undefined) throw new WeirError("WEIR_QUESTDB_UNREACHABLE", "It has not started yet.");
  const { origin, username, password } = new URL(target);
  const access = { url: origin, ...(username === "" ? {} : { user: username, password }) };
  const http = new QuestDbHttp(access);
  try {
    const ttl = options.eventsTtlDays === 0 ? {} : { ttl: `${options.eventsTtlDays} DAYS` };
    await createTables(http, signal, [{ ...tables.events, ...ttl }, tables.metric_panes, tables.sessions, tables.dead_letters]);
  } finally {
    await http.close();
  }
  return new QuestDbWarehouse(access);
}

const sources = [
  ...journals.map((journal, host) => {
    const skipped = readSkipped(options.journalPaths[host] ?? "");
    return new JournalSource(host, journal, options.partitionCount, skipped);
  }),
  ...partitions.map(({ id, store }) => new SessionSource(id, store, options.sessionGapMs, now)),
  ...options.journalPaths.map((_, host) => new PaneSource(host, metricStore, now)),
];
const tail = new SafetyTail({
  kept: {
    get: (name) => control.warehouseOffset(name),
    set: (positions) => control.setWarehouseOffsets(positions).catch(breakOff),
    marks: () => control.warehouseMarks(),
    mark: (mark, forgetBeforeMs) => control.markWarehouse(mark, forgetBeforeMs).catch(breakOff),
  },
  names: sources.map(({ name }) => name),
  tailMs: options.safetyTailMs,
  now,
});

/** A commit of the control store has failed, on a full disk for one. It takes nothing more until it is opened anew. */
function breakOff(error: unknown): never {
  post({ type: "broken", message: String(error) });
  void stop();
  throw error;
}

/** Between two passes of the writer: nothing is on its way while positions move back. */
async function takeRestart(): Promise<void> {
  const taken = restarted;
  if (taken === undefined) return;
  const toMs = taken.lossy ? await tail.rewind() : undefined;
  await control.setWarehouseServer(taken.started).catch(breakOff);
  // Another one may have come meanwhile.
  if (restarted === taken) restarted = undefined;
  if (toMs !== undefined) post({ type: "rewound", toMs });
}

const writer = new WarehouseWriter({
  sources,
  positions: tail,
  connect,
  flushRows: options.flushRows,
  flushMs: options.flushMs,
  now,
  sleep: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
  onChange: (status) => post({ type: "status", status }),
  onRefused: (table, error) => post({ type: "refused", table, message: error.message }),
});

const running = writer.run(stopping.signal);

port.on("message", (message: ToWarehouse) => {
  switch (message.type) {
    case "target":
      target = message.url;
      return;
    case "restarted":
      restarted = message;
      writer.reconnect();
      return;
    case "flush":
      writer.requestFlush().then(
        () => post({ type: "flushed", id: message.id, error: undefined }),
        (error: unknown) => post({ type: "flushed", id: message.id, error: String(error) }),
      );
      return;
    case "stop":
      void stop();
  }
});

async function stop(): Promise<void> {
  if (stopping.signal.aborted) return;
  stopping.abort();
  await running;
  await Promise.all([control, metricStore, ...journals, ...partitions.map(({ store }) => store)].map((each) => each.close()));
  post({ type: "stopped" });
  port.close();
}
