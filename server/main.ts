/**
 * The composition root: builds everything, in the order in which it depends on each other, and takes it down in the reverse.
 *
 *   data directory, control -> partition hosts (recover) -> ingest, queries -> warehouse -> gateway (listens last)
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import type { WeirError } from "../protocol/error-codes.ts";
import type { TenantId } from "../protocol/ids.ts";
import { outputsOf } from "../actors/aggregates/registry.ts";
import { openControl, type Control } from "../storage/control.ts";
import { migrateDataDirectory, openDataDirectory, type DataDirectory } from "../storage/data-directory.ts";
import { passPoint } from "../workers/crash-points.ts";
import { dedupKeyOf, type HostOptions } from "../workers/host-options.ts";
import { Hosts } from "../workers/hosts.ts";
import { journalSourceName } from "../workers/journal-source.ts";
import { readRecordVerdicts, type Position } from "../workers/record-verdicts.ts";
import type { HostStatus } from "../workers/ports.ts";
import { JobPool } from "../workers/pool.ts";
import { AuditService } from "./audit/service.ts";
import { emptyFormerJournals } from "../workers/former-journals.ts";
import type { Config } from "./config.ts";
import { DiskSpace } from "./disk-space.ts";
import { Exports } from "./exports.ts";
import { createGateway } from "./gateway.ts";
import { Ingest } from "./ingest.ts";
import { IntroducedHosts } from "./introductions.ts";
import type { Log } from "./log.ts";
import { GatewayMetrics, type Observation } from "./metrics.ts";
import { boundsOf, Queries } from "./query/service.ts";
import { MissingRows, type QuietStream } from "./missing-rows.ts";
import { checkReceipt } from "./receipt-check.ts";
import { Receipts } from "./receipts.ts";
import { readTlsPair, tlsFilesOf } from "./tls.ts";
import { VERSION } from "./version.ts";
import { questdbRoot, WarehouseService } from "./warehouse.ts";

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
    return await start(config, log, undo, onListening);
  } catch (error) {
    for (const step of undo.toReversed()) await step();
    throw error;
  }
}

async function start(
  config: Config,
  log: Log,
  undo: (() => unknown)[],
  onListening: (server: RunningServer) => void,
): Promise<RunningServer> {
  const migrated = await migrateDataDirectory(config.data);
  if (migrated.length > 0) log.info({ formats: migrated }, "data directory migrated");
  // Before the first key is made, which a start that fails later would not show.
  const tls = tlsFilesOf(config);
  if (tls !== undefined) readTlsPair(tls);
  const directory = openDataDirectory(config.data, { partitions: config.partitions, nowMs: now() });
  undo.push(() => directory.close());
  const control = openControl(directory.controlPath);
  undo.push(() => control.close());
  const firstKey = control.hasKeys() ? undefined : await makeFirstKey(control);

  let fail: (error: WeirError) => void = () => undefined;
  const failed = new Promise<WeirError>((resolve) => (fail = resolve));
  const hostOptions = hostOptionsOf(config, directory);
  // Nobody reads the hosts' environments before there is a warehouse writer.
  const reader = { reopen: async (): Promise<void> => undefined };
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
    beforeReopen: () => reader.reopen(),
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
  const ingest = new Ingest({
    hosts,
    partitionCount: directory.partitionCount,
    now,
    tenants: live,
    isDiskFull: () => disk.isFull,
  });
  const replayedRecords = await hosts.start();
  // Hosts that run have timers and stores: both end before the directory is given up.
  undo.push(() => hosts.drain().catch(() => undefined));
  for (const tenant of control.tenants()) await live.introduce(tenant);
  log.info({ replayedRecords, hosts: hosts.count, partitions: directory.partitionCount }, "recovered");

  const emptied = await emptyFormerJournals({
    journalPaths: hostOptions[0]?.journalPaths ?? [],
    partitionPaths: hostOptions[0]?.partitionPaths ?? [],
    hosts: hosts.count,
    storedOffset: (host) =>
      config.questdb === "off" ? Number.POSITIVE_INFINITY : control.warehouseOffset(journalSourceName(host)),
    beforeMs: now() - config.journalRetentionMs,
  });
  for (const { host, records, bytes } of emptied) log.info({ host, records, bytes }, "journal of a former host emptied");

  const warehouse = makeWarehouse(config, { directory, control }, hostOptions, hosts, log);
  reader.reopen = () => warehouse.reopenWriter();
  undo.push(() => warehouse.stop());

  const missingRows = new MissingRows({ look: () => quietStream(hosts, warehouse), http: () => warehouse.http, log });
  undo.push(() => missingRows.stop());
  missingRows.start();
  const metrics = new GatewayMetrics({ version: VERSION, observe: () => observe(hosts, warehouse, missingRows, disk) });
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
  const receipts = new Receipts(directory.seed);
  const gateway = createGateway({
    config,
    control,
    publisher: ingest,
    channels: live,
    liveData: live,
    describeMetric: (definition) => ({ outputs: outputsOf(definition.aggregates), bounds: boundsOf(definition) }),
    queryService: queries,
    auditor: new AuditService({
      snapshot: () => hosts.snapshot(),
      readFigures: (tenant) => pool.readFigures({ tenant, partitions: hostOptions[0]?.partitionPaths ?? [] }),
      live,
      queries,
      warehouse,
      now,
    }),
    receipts,
    receiptChecker: {
      check: (tenant, receipt) => {
        const read = (position: Position) => readRecordVerdicts(directory.hostPath(position.host), position);
        return checkReceipt(receipts, tenant, receipt, read);
      },
    },
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
      gateway.close();
      await control.close();
      directory.close();
      log.info({}, "drained");
    },
  };
  onListening(running);
  // Events are taken; QuestDB may still have to be fetched.
  await warehouse.start();
  return running;
}

async function makeFirstKey(control: Control): Promise<string> {
  await control.ensureTenant(FIRST_TENANT, now());
  const { key } = await control.createKey(FIRST_TENANT, ["write", "read", "admin"], now());
  return key;
}

function retentionOf(config: Config) {
  return { fineMs: config.paneFineRetentionMs, minuteMs: config.paneMinuteRetentionMs, allMs: config.paneRetentionMs };
}

function hostOptionsOf(config: Config, directory: DataDirectory): HostOptions[] {
  const hosts = Math.min(Math.max(1, config.hostThreads), directory.partitionCount);
  // Hosts of before keep their journals: their partitions are brought up to date from there, their rows sent from there.
  const journals = Math.max(hosts, ...directory.existingHosts().map((host) => host + 1));
  const shared = {
    hosts,
    partitionCount: directory.partitionCount,
    journalPaths: Array.from({ length: journals }, (_, host) => directory.hostPath(host)),
    partitionPaths: Array.from({ length: directory.partitionCount }, (_, id) => ({ id, path: directory.partitionPath(id) })),
    metricsPath: directory.metricsPath(0),
    rules: {
      dedupKey: dedupKeyOf(directory.seed),
      dedupHorizonMs: config.dedupHorizonMs,
      allowedLatenessMs: config.allowedLatenessMs,
      gapMs: config.sessionGapMs,
      paneRetention: retentionOf(config),
      deadLetterRetentionMs: config.deadLetterRetentionMs,
    },
    epoch: randomUUID(),
    partialEveryMs: config.partialEveryMs,
    snapshotEveryMs: config.snapshotEveryMs,
    journalRetentionMs: config.journalRetentionMs,
  };
  return Array.from({ length: hosts }, (_, host) => ({ ...shared, host }));
}

function makeWarehouse(
  config: Config,
  { directory, control }: { directory: DataDirectory; control: Control },
  hostOptions: readonly HostOptions[],
  hosts: Hosts,
  log: Log,
): WarehouseService {
  const [first] = hostOptions;
  const journalPaths = first?.journalPaths ?? [];
  if (config.questdb === "off") {
    // Nothing waits for rows: the journal is trimmed behind the snapshots.
    for (let host = 0; host < hosts.count; host++) hosts.stored(host, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }
  return new WarehouseService({
    questdb: config.questdb,
    root: questdbRoot(directory.path),
    httpPort: config.questdbHttpPort,
    pgPort: config.questdbPgPort,
    jar: config.questdbJar,
    mavenUrl: config.mavenUrl,
    cacheDir: config.cacheDir,
    thread: {
      journalPaths,
      partitionPaths: first?.partitionPaths ?? [],
      metricsPath: first?.metricsPath ?? "",
      controlPath: directory.controlPath,
      hosts: journalPaths.length,
      partitionCount: directory.partitionCount,
      sessionGapMs: config.sessionGapMs,
      flushRows: config.warehouseFlushRows,
      flushMs: config.warehouseFlushMs,
      eventsTtlDays: config.eventsTtlDays,
      safetyTailMs: config.warehouseSafetyTailMs,
    },
    serverStarted: () => control.warehouseServer(),
    env: process.env,
    log,
    now,
    onStored: (host, offset, rows) => hosts.stored(host, offset, rows),
  });
}

/** What there is to compare rows with; undefined while some are on their way. */
function quietStream(hosts: Hosts, warehouse: WarehouseService): QuietStream | undefined {
  const positions = warehouse.status?.positions ?? {};
  const { statuses } = hosts;
  const behind = ({ host, appendedOffset }: HostStatus) => (positions[journalSourceName(host)] ?? 0) < appendedOffset;
  if (warehouse.state !== "ready" || statuses.length < hosts.count || statuses.some(behind)) return undefined;
  const accepted = statuses.reduce((sum, status) => sum + status.accepted, 0);
  return { accepted, position: JSON.stringify([statuses.map(({ appendedOffset }) => appendedOffset), positions]) };
}

function observe(hosts: Hosts, warehouse: WarehouseService, missingRows: MissingRows, disk: DiskSpace): Observation {
  const statuses = hosts.statuses;
  const hostCount = hosts.count;
  const positions = warehouse.status?.positions ?? {};
  return {
    hosts: statuses,
    supervision: hosts.supervision,
    diskFreeBytes: disk.freeBytes,
    warehouse: {
      state: warehouse.state,
      tables: warehouse.tables,
      resumes: warehouse.resumes,
      restarts: warehouse.restarts,
      rowsWritten: warehouse.status?.rowsWritten ?? 0,
      rowsRefused: warehouse.status?.rowsRefused ?? 0,
      requestsFailed: warehouse.status?.requestsFailed ?? 0,
      missingEvents: missingRows.events,
      hosts: Array.from({ length: hostCount }, (_, host) => {
        const offset = positions[journalSourceName(host)] ?? 0;
        return { host, offset, lagRecords: Math.max(0, (statuses[host]?.durableOffset ?? 0) - offset) };
      }),
    },
  };
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
