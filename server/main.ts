/**
 * The composition root: builds everything, in the order in which it depends on each other, and takes it down in the reverse.
 *
 *   data directory, control -> partition hosts (recover) -> ingest, queries -> warehouse -> gateway (listens last)
 */
import { join } from "node:path";
import type { WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import { outputsOf } from "../actors/aggregates/registry.ts";
import { openControl, type Control } from "../storage/control.ts";
import { migrateDataDirectory, openDataDirectory, type DataDirectory } from "../storage/data-directory.ts";
import { passPoint } from "../workers/crash-points.ts";
import { emptyFormerJournals } from "../workers/former-journals.ts";
import type { HostOptions } from "../workers/host-options.ts";
import { Hosts } from "../workers/hosts.ts";
import { journalSourceName } from "../workers/journal-source.ts";
import { JobPool } from "../workers/pool.ts";
import { readRecordVerdicts, type Position } from "../workers/record-verdicts.ts";
import { AuditService } from "./audit/service.ts";
import type { Config } from "./config.ts";
import { DiskSpace } from "./disk-space.ts";
import { Exports } from "./exports.ts";
import { createGateway } from "./gateway.ts";
import { hostOptionsOf, retentionOf } from "./host-settings.ts";
import { Ingest } from "./ingest.ts";
import { IntroducedHosts } from "./introductions.ts";
import type { Log } from "./log.ts";
import { GatewayMetrics } from "./metrics.ts";
import { MissingRows } from "./missing-rows.ts";
import { observe, quietStream } from "./observation.ts";
import { boundsOf, Queries } from "./query/service.ts";
import { checkReceipt } from "./receipt-check.ts";
import { Receipts } from "./receipts.ts";
import { StateBudget } from "./state-budget.ts";
import { readTlsPair, tlsFilesOf } from "./tls.ts";
import { VERSION } from "./version.ts";
import { makeWarehouse } from "./warehouse-settings.ts";
import type { WarehouseService } from "./warehouse.ts";

export interface RunningServer {
  readonly port: number;
  /** undefined with the warehouse off or not there yet. */
  readonly questdb: { readonly http: string; readonly pg?: string } | undefined;
  /** Set on the very first start: the key of the new tenant `demo`. It is stored hashed and shown only here. */
  readonly firstKey: string | undefined;
  /** Resolves when the server cannot go on (a partition host cannot be opened again) and has to be started anew. */
  readonly failed: Promise<WeirError>;
  /** Resolves when everything durable by now is in the warehouse; rejects when that is away. */
  flushWarehouse(): Promise<void>;
  /** Answers what is outstanding, makes everything durable, and frees the port and the data directory. */
  drain(): Promise<void>;
}

const FIRST_TENANT = "demo" as TenantId;
const MIB = 1024 * 1024;
const now = Date.now;

/** `onListening` is told as soon as events are taken: QuestDB may keep the answer for a minute more, and a signal must not wait. */
export async function startServer(
  config: Config,
  log: Log,
  onListening: (server: RunningServer) => void = () => undefined,
): Promise<RunningServer> {
  const undo: (() => unknown)[] = [];
  try {
    return await start({ config, log, undo }, onListening);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

/** What a start goes by, and how to take back what it has done so far. */
interface Start {
  readonly config: Config;
  readonly log: Log;
  readonly undo: (() => unknown)[];
}

async function start(from: Start, onListening: (server: RunningServer) => void): Promise<RunningServer> {
  const { config, log, undo } = from;
  const storage = await openStorage(from);
  const { directory, control, firstKey } = storage;
  const hostOptions = hostOptionsOf(config, directory);
  const core = await startHosts(from, storage, hostOptions);
  const { hosts, disk, budget, failed } = core;
  await tidyJournals(from, storage, hostOptions, hosts.count);

  const warehouse = makeWarehouse(config, { directory, control }, hostOptions, hosts, log);
  core.readers.reopen = () => warehouse.reopenWriter();
  undo.push(() => warehouse.stop());
  const missingRows = new MissingRows({ look: () => quietStream(hosts, warehouse), http: () => warehouse.http, log });
  undo.push(() => missingRows.stop());
  missingRows.start();

  const metrics = new GatewayMetrics({ version: VERSION, observe: () => observe(hosts, warehouse, missingRows, disk, budget) });
  const { gateway, exports, pool } = makeGateway(from, storage, core, { warehouse, metrics, hostOptions });
  const port = await gateway.listen();
  log.info({ port, address: config.host }, "listening");
  const running: RunningServer = {
    port,
    get questdb() {
      return warehouse.url === undefined ? undefined : { http: warehouse.url, ...pgAddress(warehouse) };
    },
    firstKey,
    failed,
    flushWarehouse: () => warehouse.flush(),
    async drain() {
      await gateway.drain();
      missingRows.stop();
      passPoint("in-drain");
      await hosts.drain();
      passPoint("in-drain");
      await lastRows(warehouse, config.drainTimeoutMs);
      passPoint("in-drain");
      await warehouse.stop();
      exports.stop();
      await pool.close();
      disk.stop();
      budget.stop();
      gateway.close();
      await control.close();
      directory.close();
      log.info({}, "drained");
    },
  };
  storage.keyShown = true;
  onListening(running);
  // Events are taken; QuestDB may still have to be fetched.
  await warehouse.start();
  return running;
}

interface Storage {
  readonly directory: DataDirectory;
  readonly control: Control;
  readonly firstKey: string | undefined;
  /** The first key has been shown: from here on it stays. */
  keyShown: boolean;
}

async function openStorage({ config, log, undo }: Start): Promise<Storage> {
  const migrated = await migrateDataDirectory(config.data);
  if (migrated.length > 0) log.info({ formats: migrated }, "data directory migrated");
  const tls = tlsFilesOf(config);
  if (tls !== undefined) readTlsPair(tls);
  const directory = openDataDirectory(config.data, { partitions: config.partitions, nowMs: now() });
  undo.push(() => directory.close());
  const { partitionCount } = directory;
  if (partitionCount !== config.partitions) {
    log.info({ partitions: partitionCount, setting: config.partitions }, "the data folder keeps its number of partitions");
  }
  const control = openControl(directory.controlPath);
  undo.push(() => control.close());
  if (control.hasKeys()) return { directory, control, firstKey: undefined, keyShown: true };
  await control.ensureTenant(FIRST_TENANT, now());
  const { key, keyId } = await control.createKey(FIRST_TENANT, ["write", "read", "admin"], now());
  const storage = { directory, control, firstKey: key, keyShown: false };
  // A start that fails has nobody to show the key to: the next one makes another.
  undo.push(() => (storage.keyShown ? undefined : control.revokeKey(keyId, now())));
  return storage;
}

interface Core {
  readonly hosts: Hosts;
  readonly live: IntroducedHosts;
  readonly ingest: Ingest;
  readonly disk: DiskSpace;
  readonly budget: StateBudget;
  /** Who has the hosts' environments open besides them; set once there is a warehouse writer. */
  readonly readers: { reopen: () => Promise<void> };
  readonly failed: Promise<WeirError>;
}

/** The partition hosts, recovered, with every tenant's metrics in force. */
async function startHosts(
  { config, log, undo }: Start,
  { directory, control }: Storage,
  hostOptions: readonly HostOptions[],
): Promise<Core> {
  let fail: (error: WeirError) => void = () => undefined;
  const failed = new Promise<WeirError>((resolve) => (fail = resolve));
  const readers = { reopen: async (): Promise<void> => undefined };
  const hosts: Hosts = new Hosts({
    hosts: hostOptions,
    inline: config.hostThreads === 0,
    now,
    onOutcomes: (host, outcomes) => ingest.takeOutcomes(host, outcomes),
    onFailed: (host, error) => {
      log.error({ host, err: error }, "partition host failed");
      ingest.hostFailed(host);
    },
    onRestarted: (host) => log.warn({ host }, "partition host is back"),
    onLost: (host, error) => {
      log.fatal({ host, err: error }, "partition host stopped");
      fail(error);
    },
    beforeReopen: () => readers.reopen(),
    restart: { attemptsMax: config.hostRestartsMax },
  });
  undo.push(() => hosts.stop());
  const live = new IntroducedHosts(hosts, (tenant) => control.metrics(tenant));
  const disk = new DiskSpace({
    path: directory.path,
    reserveBytes: config.diskReserveMib * MIB,
    onChange: (isFull, freeBytes) => {
      if (isFull) log.error({ freeBytes }, "disk full: events are refused");
      else log.warn({ freeBytes }, "the disk has room again");
    },
  });
  await disk.start();
  undo.push(() => disk.stop());
  const budget = new StateBudget({
    tenantBytesMax: boundOf(config.tenantStateMib),
    totalBytesMax: boundOf(config.totalStateMib),
    statuses: () => hosts.statuses,
    now,
    onChange: (tenant, isFull, stateBytes) => {
      if (isFull) log.warn({ tenant, stateBytes }, "state of a tenant is full: its events are refused");
      else log.warn({ tenant, stateBytes }, "state of a tenant has room again");
    },
  });
  undo.push(() => budget.stop());
  const { partitionCount } = directory;
  const ingest = new Ingest({
    hosts,
    partitionCount,
    now,
    tenants: live,
    isDiskFull: () => disk.isFull,
    admitState: (tenant, frameBytes) => budget.admit(tenant, frameBytes),
  });
  const replayedRecords = await hosts.start();
  // Hosts that run have timers and stores: both end before the directory is given up.
  undo.push(() => hosts.drain().catch(() => undefined));
  budget.start();
  for (const tenant of control.tenants()) await live.introduce(tenant);
  log.info({ replayedRecords, hosts: hosts.count, partitions: partitionCount }, "recovered");
  return { hosts, live, ingest, disk, budget, readers, failed };
}

/** 0: none. */
function boundOf(mib: number): number {
  return mib === 0 ? Infinity : mib * MIB;
}

async function tidyJournals(
  { config, log }: Start,
  { control }: Storage,
  [options]: readonly HostOptions[],
  hosts: number,
): Promise<void> {
  const emptied = await emptyFormerJournals({
    journalPaths: options?.journalPaths ?? [],
    partitionPaths: options?.partitionPaths ?? [],
    hosts,
    storedOffset: (host) =>
      config.questdb === "off" ? Number.POSITIVE_INFINITY : control.warehouseOffset(journalSourceName(host)),
    beforeMs: now() - config.journalRetentionMs,
  });
  for (const { host, records, bytes } of emptied) log.info({ host, records, bytes }, "journal of a former host emptied");
}

/** All that answers clients. */
function makeGateway(
  { config, log, undo }: Start,
  { directory, control }: Storage,
  { hosts, live, ingest, disk }: Core,
  parts: { warehouse: WarehouseService; metrics: GatewayMetrics; hostOptions: readonly HostOptions[] },
) {
  const { warehouse, metrics, hostOptions } = parts;
  const queries = new Queries({
    control,
    live,
    retention: retentionOf(config),
    warehouse: () => (warehouse.http === undefined ? undefined : { http: warehouse.http, lagMs: warehouse.lagMs }),
    now,
  });
  const pool = new JobPool();
  undo.push(() => pool.close());
  const exports = new Exports({
    pool,
    live,
    folder: join(directory.path, "exports"),
    warehouseUrl: () => warehouse.url,
    now,
    retentionMs: config.exportRetentionMs,
    log,
  });
  undo.push(() => exports.stop());
  exports.startSweeping();
  const auditor = new AuditService({
    snapshot: () => hosts.snapshot(),
    readFigures: (tenant) => pool.readFigures({ tenant, partitions: hostOptions[0]?.partitionPaths ?? [] }),
    live,
    queries,
    warehouse,
    now,
  });
  const receipts = new Receipts(directory.seed);
  const readVerdicts = (position: Position) => readRecordVerdicts(directory.hostPath(position.host), position);
  const gateway = createGateway({
    config,
    control,
    publisher: ingest,
    channels: live,
    liveData: live,
    describeMetric: (definition) => ({ outputs: outputsOf(definition.aggregates), bounds: boundsOf(definition) }),
    queryService: queries,
    auditor,
    receipts,
    receiptChecker: { check: (tenant, receipt) => checkReceipt(receipts, tenant, receipt, readVerdicts) },
    exportJobs: exports,
    metrics,
    log,
    version: VERSION,
    now,
    readiness: () => ({
      hosts: hosts.statuses,
      supervision: hosts.supervision,
      warehouse: warehouse.state,
      tables: warehouse.tables,
      diskFull: disk.isFull,
    }),
  });
  undo.push(() => gateway.close());
  return { gateway, exports, pool };
}

/** Gives the last rows a chance to leave; they stay in the journal when the warehouse is away or slow. */
async function lastRows(warehouse: WarehouseService, timeoutMs: number): Promise<void> {
  if (warehouse.state !== "ready") return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([warehouse.flush().catch(() => undefined), late]);
  clearTimeout(timer);
}

function pgAddress(warehouse: WarehouseService): { pg?: string } {
  const { pg } = warehouse;
  return pg === undefined ? {} : { pg: `${pg.host}:${pg.port}` };
}
