/**
 * One start of the server, put together as `server/main.ts` does it, without sockets: control store, hosts (inline), ingest,
 * admission, connections, warehouse writer. All real, but for their surroundings: clock, turns, disk, warehouse.
 */
import type { WeirError } from "../../protocol/error-codes.ts";
import { AckEncoder } from "../../protocol/encode-ack.ts";
import { limits } from "../../protocol/limits.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { PartitionRules } from "../../actors/partition.ts";
import { Admission } from "../../server/admission.ts";
import { Authenticator } from "../../server/authenticate.ts";
import { Receipts } from "../../server/receipts.ts";
import { Connection, type ConnectionServices } from "../../server/connection.ts";
import { Ingest } from "../../server/ingest.ts";
import { IntroducedHosts } from "../../server/introductions.ts";
import { createLog } from "../../server/log.ts";
import { GatewayMetrics } from "../../server/metrics.ts";
import { TurnEnd } from "../../server/turn-end.ts";
import { Control } from "../../storage/control.ts";
import type { HostEnvironment } from "../../workers/environment.ts";
import { PaneSource, paneSourceName, SessionSource } from "../../workers/feed-sources.ts";
import type { HostOptions } from "../../workers/host-options.ts";
import { Hosts, type HostsOptions } from "../../workers/hosts.ts";
import { JournalSource, journalSourceName } from "../../workers/journal-source.ts";
import { WarehouseWriter, type WriterStatus } from "../../workers/warehouse-writer.ts";
import { readFile, SimJournalReader, type SimDisk } from "./disk.ts";
import { ALLOWED_LATENESS_MS, BASE_MS, TENANT } from "./events.ts";
import { SimSocket, type SocketOwner } from "./network.ts";
import type { Plant } from "./plants.ts";
import type { SimQuestDb } from "./questdb.ts";
import type { Random } from "./random.ts";
import type { Process, Scheduler } from "./scheduler.ts";

/** What a seed chooses once. */
export interface Settings {
  readonly partitionCount: number;
  readonly hostsMax: number;
  readonly partialEveryMs: number;
  readonly snapshotEveryMs: number;
  readonly journalRetentionMs: number;
  readonly flushRows: number;
  readonly flushMs: number;
  readonly creditFrames: number;
  readonly heldBytesMax: number;
}

export function randomSettings(random: Random): Settings {
  return {
    partitionCount: random.pick([1, 2, 4, 5]),
    hostsMax: random.pick([1, 1, 2, 3]),
    partialEveryMs: random.pick([100, 250, 1_000]),
    snapshotEveryMs: random.pick([1_000, 5_000, 20_000]),
    journalRetentionMs: random.pick([0, 5_000, HOUR_MS]),
    flushRows: random.pick([1, 20, 500]),
    flushMs: random.pick([200, 1_000, 5_000]),
    creditFrames: random.pick([1, 2, 8]),
    heldBytesMax: random.pick([4_000, 20_000, 1_000_000]),
  };
}

export const rules: PartitionRules = {
  gapMs: 30 * MINUTE_MS,
  allowedLatenessMs: ALLOWED_LATENESS_MS,
  dedupKey: { low: 0x01234567, high: 0x89abcdef },
  dedupHorizonMs: DAY_MS,
  // Short, so that panes age while a simulation lasts.
  paneRetention: { fineMs: 2 * MINUTE_MS, minuteMs: HOUR_MS, allMs: 10 * DAY_MS },
  deadLetterRetentionMs: 30 * DAY_MS,
};

export interface World {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly disk: SimDisk;
  readonly questdb: SimQuestDb;
  readonly wire: Process;
  readonly settings: Settings;
  readonly plant: Plant;
  /** How far the wall clock is off; it may step back. */
  clockStepMs: number;
  readonly trace: (text: string) => void;
  readonly onDelta: (topic: string, frame: Uint8Array) => void;
}

const DRAIN_MS = 10_000;
const DRAIN_POLL_MS = 20;
const RESTART_WRITER_MS = 2_000;
const log = createLog({ level: "silent" });
const metrics = new GatewayMetrics({
  version: "sim",
  processMetrics: false,
  observe: () => {
    throw new Error("nobody scrapes here");
  },
});

export class SimServer {
  readonly start: number;
  readonly hostCount: number;
  readonly hosts: Hosts;
  readonly live: IntroducedHosts;
  readonly control: Control;
  readonly admission: Admission;
  readonly sockets = new Set<SimSocket>();
  readonly #world: World;
  readonly #process: Process;
  readonly #ingest: Ingest;
  readonly #services: ConnectionServices;
  #writerProcess: Process | undefined;
  #stopWriter = new AbortController();
  #writing: Promise<void> = Promise.resolve();
  writerStatus: WriterStatus | undefined;
  #lastSocket = 0;
  /** Clients may connect. */
  isServing = false;

  constructor(world: World, start: number, hostCount: number, onFailed: (error: WeirError) => void) {
    const { scheduler, settings, plant } = world;
    this.#world = world;
    this.start = start;
    this.hostCount = hostCount;
    this.#process = scheduler.process(`server ${start}`);
    this.control = new Control(this.#environment(this.#process).openStore("control"));
    const hostsOptions: HostsOptions = {
      hosts: Array.from({ length: hostCount }, (_, host) => this.#hostOptions(host)),
      inline: true,
      environment: this.#environment(this.#process),
      now: this.#now,
      onOutcomes: (host, outcomes) => this.#ingest.takeOutcomes(host, outcomes),
      onFailed: (host, error) => {
        this.#ingest.hostFailed(host);
        onFailed(error);
      },
      onRestarted: (host) => world.trace(`host ${host} is back`),
      random: () => world.random.next(),
    };
    this.hosts = plant.makeHosts?.(hostsOptions) ?? new Hosts(hostsOptions);
    this.live = new IntroducedHosts(this.hosts, (tenant) => this.control.metrics(tenant));
    const partitionCount = settings.partitionCount;
    this.#ingest = new Ingest({ hosts: this.hosts, partitionCount, now: this.#now, tenants: this.live });
    const { creditFrames, heldBytesMax } = settings;
    const admission = { connectionsMax: 100, heldBytesMax, concurrentQueriesMax: limits.concurrentQueriesMax };
    this.admission = new Admission(admission);
    this.admission.onRelief(() => {
      for (const { connection } of this.sockets) connection.returnCredit();
    });
    const now = this.#now;
    this.#services = {
      control: this.control,
      authenticator: new Authenticator({ control: this.control, limits, metrics, log, now }),
      publisher: this.#ingest,
      channels: this.live,
      admission: this.admission,
      metrics,
      receipts: new Receipts(new Uint8Array(16)),
      log,
      limits: { ...limits, creditFrames, errorsPerConnectionMax: Infinity },
      version: "sim",
      ackEncoder: new AckEncoder(),
      turnEnd: new TurnEnd(),
      now: this.#now,
      idle: () => undefined,
    };
  }

  /** Recovers; returns how many records were replayed. */
  async open(): Promise<number> {
    await this.control.ensureTenant(TENANT, this.#now());
    const replayed = await this.hosts.start();
    for (const tenant of this.control.tenants()) await this.live.introduce(tenant);
    this.live.onDelta((topic, frame) => {
      this.#world.onDelta(topic, frame);
      for (const socket of this.sockets) socket.publish(topic, frame);
    });
    this.startWriter();
    return replayed;
  }

  connect(owner: SocketOwner): SimSocket {
    this.admission.openConnection();
    const key = { tenant: TENANT, scopes: ["write", "read"], keyId: "key" } as const;
    const connection = new Connection(this.#services, key, { text: "127.0.0.1", group: undefined });
    const socket = new SimSocket(
      connection,
      owner,
      this.#world.wire,
      this.#world.random.fork(`socket ${this.start}.${++this.#lastSocket}`),
      () => {
        this.sockets.delete(socket);
        this.admission.closeConnection();
      },
    );
    this.sockets.add(socket);
    return socket;
  }

  startWriter(): void {
    const { scheduler, settings, plant, questdb } = this.#world;
    const process = scheduler.process(`writer of ${this.start}`);
    const environment = this.#environment(process);
    const control = new Control(environment.openStore("control"));
    const metricStore = environment.openStore("metrics");
    const { journalPaths, partitionPaths } = this.#hostOptions(0);
    const { partitionCount, flushRows, flushMs } = settings;
    const set = (positions: ReadonlyMap<string, number>): Promise<void> => control.setWarehouseOffsets(positions);
    const writer = new WarehouseWriter({
      sources: [
        ...journalPaths.map((path, host) => new JournalSource(host, this.#reader(path), partitionCount)),
        ...partitionPaths.map(({ id, path }) => new SessionSource(id, environment.openStore(path), rules.gapMs, this.#now)),
        ...journalPaths.map((_, host) => new PaneSource(host, metricStore, this.#now)),
      ],
      positions: { get: (name) => control.warehouseOffset(name), set },
      connect: async (signal) => {
        const warehouse = await questdb.connect(process, signal);
        return plant.wrapWarehouse?.(warehouse) ?? warehouse;
      },
      flushRows,
      flushMs,
      now: this.#now,
      sleep: (ms, signal) => process.sleep(ms, signal),
      onChange: (status) => process.soon(() => this.#takeStatus(status)),
      onRefused: () => undefined,
    });
    this.#writerProcess = process;
    this.#stopWriter = new AbortController();
    this.#writing = writer.run(this.#stopWriter.signal).catch((error: unknown) => {
      this.#world.trace(`the writer ended: ${String(error)}`);
      process.after(RESTART_WRITER_MS, () => this.crashWriter());
    });
  }

  /** The writer's thread ends as it is, and another takes its place. */
  crashWriter(): void {
    this.#writerProcess?.kill();
    this.startWriter();
  }

  /** SIGTERM. */
  async drain(): Promise<void> {
    this.isServing = false;
    this.admission.startDraining();
    for (let left = DRAIN_MS; left > 0 && this.#framesInFlight > 0; left -= DRAIN_POLL_MS)
      await this.#process.sleep(DRAIN_POLL_MS);
    for (const socket of this.sockets) socket.connection.end(1012, "WEIR_FLOW_DRAINING");
    await this.hosts.drain();
    this.#stopWriter.abort();
    await this.#writing;
    await this.control.close();
    this.kill();
  }

  kill(): void {
    this.isServing = false;
    this.#process.kill();
    this.#writerProcess?.kill();
    for (const socket of this.sockets) socket.cut();
  }

  get #framesInFlight(): number {
    return [...this.sockets].reduce((sum, { connection }) => sum + connection.inFlight, 0);
  }

  readonly #now = (): number => Math.floor(BASE_MS + this.#world.scheduler.elapsedMs + this.#world.clockStepMs);

  #takeStatus(status: WriterStatus): void {
    if (status.state !== this.writerStatus?.state) this.#world.trace(`warehouse ${status.state} ${status.lastError ?? ""}`);
    this.writerStatus = status;
    for (let host = 0; host < this.#world.settings.hostsMax; host++) {
      this.hosts.stored(host, status.positions[journalSourceName(host)] ?? 0, status.positions[paneSourceName(host)] ?? 0);
    }
  }

  #reader(path: string): SimJournalReader {
    return new SimJournalReader(this.#world.disk.journalFile(path));
  }

  #hostOptions(host: number): HostOptions {
    const { partitionCount, hostsMax, partialEveryMs, snapshotEveryMs, journalRetentionMs } = this.#world.settings;
    const { plant } = this.#world;
    return {
      host,
      hosts: this.hostCount,
      partitionCount,
      journalPaths: Array.from({ length: hostsMax }, (_, each) => journalPath(each)),
      partitionPaths: Array.from({ length: partitionCount }, (_, id) => {
        return { id, path: `partition-${plant.storeOfPartition?.(id, this.start, partitionCount) ?? id}` };
      }),
      metricsPath: "metrics",
      rules,
      epoch: `start-${this.start}`,
      partialEveryMs,
      snapshotEveryMs,
      journalRetentionMs,
    };
  }

  #environment(process: Process): HostEnvironment {
    const { disk, plant } = this.#world;
    return {
      now: this.#now,
      elapsed: () => process.nowMs,
      soon: (work) => process.soon(work),
      after: (ms, work) => process.after(ms, work),
      every: (ms, work) => process.every(ms, work),
      openJournal: (path) => {
        const journal = disk.openJournal(path, process);
        return plant.wrapJournal?.(journal) ?? journal;
      },
      openStore: (path) => {
        const store = disk.openStore(path, process);
        return plant.wrapStore?.(store, path) ?? store;
      },
      readJournal: (path, from) => readFile(disk.journalFile(path), from, { fleeting: true }),
    };
  }
}

export function journalPath(host: number): string {
  return `journal-${host}`;
}

export function hostOfJournal(path: string): number {
  return Number(path.slice("journal-".length));
}
