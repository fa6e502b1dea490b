/**
 * One run of the simulation, all of it decided by its seed: services publish, dashboards listen, faults of every kind strike
 * for a while; then they stop, and everything has to come to rest with nothing lost and nothing doubled.
 *
 *   boot -> traffic and faults ... -> faults stop -> everything acknowledged, everything agrees -> ok
 *
 * Safety is checked at each step (what is said, what reaches the disk, what is shown), liveness at the end.
 */
import { createHash } from "node:crypto";
import { decodeServerFrame, type DeltaFrame } from "../../protocol/frames.ts";
import { SimDisk } from "./disk.ts";
import { acceptedDifferences, differences, ledgerDifferences } from "./end-checks.ts";
import { BASE_MS, type SimEvent } from "./events.ts";
import { Faults } from "./faults.ts";
import { Model } from "./model.ts";
import type { SimSocket, SocketOwner } from "./network.ts";
import type { Plant } from "./plants.ts";
import { SimPublisher } from "./publisher.ts";
import { SimQuestDb } from "./questdb.ts";
import { Random } from "./random.ts";
import { Scheduler, type Process } from "./scheduler.ts";
import { hostOfJournal, randomSettings, SimServer, type World } from "./server.ts";
import { Shown } from "./shown.ts";
import { SimSubscriber } from "./subscriber.ts";

export interface RunResult {
  readonly seed: number;
  /** What promise was broken, and how; undefined when none was. */
  readonly violation: string | undefined;
  readonly trace: readonly string[];
  /** Of the trace: the same for the same seed. */
  readonly hash: string;
  readonly virtualMs: number;
  readonly steps: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly acks: number;
  readonly events: number;
}

const NO_PLANT: Plant = { what: "nothing", seedsMax: 0 };
/** After the faults have stopped, everything must agree within this much virtual time. */
const SETTLE_MS = 5 * 60_000;
/** No frame on an open connection to a server that serves waits longer. */
const ANSWER_MS_MAX = 2 * 60_000;
const CHECK_EVERY_MS = 1_000;
const QUESTION_MS = 60_000;
/** About so many frames in a run, however long it lasts. */
const FRAMES_MIN = 20;
const FRAMES_MAX = 250;

const channels = [
  ["events@24h", 250],
  ["events_by_type_and_country@24h", 100],
  ["events_by_type_and_country@24h", 100],
  ["value_by_type@1h", 1_000],
  ["active_users@hour", 250],
  ["events@1m", 100],
] as const;

export async function simulate(seed: number, plant: Plant = NO_PLANT): Promise<RunResult> {
  const uninstall = plant.install?.();
  try {
    return await new Simulation(seed, plant).run();
  } finally {
    uninstall?.();
  }
}

export class Simulation {
  readonly seed: number;
  readonly world: World;
  readonly model = new Model();
  readonly faults = new Map<string, number>();
  readonly publishers: SimPublisher[];
  readonly subscribers: SimSubscriber[];
  server: SimServer | undefined;
  readonly #random: Random;
  readonly #clients: Process;
  readonly #trace: string[] = [];
  readonly #shown: Shown;
  readonly #pool: SimEvent[] = [];
  /** In the order in which they were seen: an epoch's own name may be random. */
  readonly #epochs: string[] = [];
  #starts = 0;
  #failuresMet = 0;
  #violation: string | undefined;

  constructor(seed: number, plant: Plant) {
    this.seed = seed;
    const random = new Random(seed);
    this.#random = random.fork("simulation");
    const scheduler = new Scheduler(random.fork("scheduler"));
    scheduler.onError = (error) => this.wrong(`a task threw: ${textOf(error)}`);
    this.world = {
      random,
      scheduler,
      disk: new SimDisk(random.fork("disk"), scheduler),
      questdb: new SimQuestDb(random.fork("questdb"), scheduler),
      wire: scheduler.process("wire"),
      settings: randomSettings(random.fork("settings")),
      plant,
      clockStepMs: 0,
      trace: (text) => this.trace(text),
      onDelta: (_topic, frame) => this.#shown.published(decodeServerFrame(frame) as DeltaFrame),
    };
    this.#clients = scheduler.process("clients");
    this.#shown = new Shown(this.model, (what) => this.wrong(what));
    this.world.disk.onDurable = (path, offset, record) => {
      this.trace(`durable ${path}:${offset}, ${record.length} bytes`);
      this.wrong(this.model.durable(hostOfJournal(path), offset, record, this.world.settings.partitionCount));
    };
    this.world.questdb.onTrouble = (kind) => this.count(kind);
    this.publishers = Array.from({ length: this.#random.integer(1, 4) }, (_, index) => this.#newPublisher(`p${index}`));
    this.subscribers = channels.map(([channel, everyMs], index) => this.#newSubscriber(`d${index}`, channel, everyMs));
  }

  get scheduler(): Scheduler {
    return this.world.scheduler;
  }

  async run(): Promise<RunResult> {
    const onRejection = (error: unknown): void => this.wrong(`a promise was rejected: ${textOf(error)}`);
    process.on("unhandledRejection", onRejection);
    try {
      this.trace(`settings ${JSON.stringify(this.world.settings)}`);
      this.boot(0);
      this.#clients.every(CHECK_EVERY_MS, () => this.#checkBounds());
      const lastsMs = this.#random.duration(5_000, 90_000);
      const traffic = this.#traffic(lastsMs);
      const faults = new Faults(this, this.world.random.fork("faults"));
      await this.scheduler.run(lastsMs, () => this.#violation !== undefined);
      traffic();
      faults.stop();
      await this.#settle();
    } finally {
      process.off("unhandledRejection", onRejection);
      this.server?.kill();
    }
    return this.#result();
  }

  trace(text: string): void {
    // One line: stacks differ from one call to the next.
    const [line = ""] = text.split("\n", 1);
    this.#trace.push(`${(this.scheduler.elapsedMs / 1_000).toFixed(3).padStart(9)} s  ${line}`);
  }

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  /** The first thing that is wrong ends the run. */
  wrong(what: string | undefined): void {
    if (what === undefined || this.#violation !== undefined) return;
    this.#violation = what;
    this.trace(`VIOLATION: ${what}`);
  }

  /** Starts the server anew after a while. */
  boot(delayMs: number): void {
    this.#clients.after(delayMs, () => {
      const hostCount = this.#random.integer(1, this.world.settings.hostsMax);
      const server = new SimServer(this.world, ++this.#starts, hostCount, (error) => this.#hostFailed(server, error));
      this.server = server;
      this.trace(`start ${server.start} with ${hostCount} hosts`);
      server.open().then(
        (replayed) => this.#opened(server, replayed),
        (error: unknown) => this.#stopped(server, error),
      );
    });
  }

  /** Kill -9 or power loss, at this very moment. */
  crash(): void {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    server.kill();
    const { kept, lost } = this.world.disk.crash();
    this.trace(`crash of start ${server.start}: of what was not flushed, ${kept} kept, ${lost} lost`);
    this.boot(this.#random.duration(10, 5_000));
  }

  /** SIGTERM, and a start afterwards. */
  drain(): void {
    const { server } = this;
    if (server?.isServing !== true) return;
    this.trace(`drain of start ${server.start}`);
    server.drain().then(
      () => {
        if (this.server !== server) return;
        this.trace(`drained`);
        this.server = undefined;
        this.boot(this.#random.duration(10, 1_000));
      },
      (error: unknown) => this.#stopped(server, error),
    );
  }

  #opened(server: SimServer, replayed: number): void {
    if (this.server !== server) return;
    this.trace(`serving, ${replayed} records replayed`);
    // Nothing is under way yet: what was recovered must be what is on the disk.
    const check = async (): Promise<void> => {
      const found = [...(await ledgerDifferences(server, this.model)), ...(await acceptedDifferences(server, this.model))];
      if (this.server !== server) return;
      if (found.length > 0) this.wrong(`after recovery: ${found.join("; ")}`);
      server.isServing = true;
      for (const client of [...this.publishers, ...this.subscribers]) this.#reconnectSoon(client);
    };
    check().catch((error: unknown) => this.#stopped(server, error));
  }

  /** A host that failed while the server serves is mostly opened again in place; now and then all of it starts anew. */
  #hostFailed(server: SimServer, error: unknown): void {
    const inPlace = this.server === server && server.isServing && this.#random.chance(0.7);
    if (!inPlace || this.world.disk.failures === this.#failuresMet) return this.#stopped(server, error);
    this.#failuresMet = this.world.disk.failures;
    this.count("host restart");
    this.trace(`a host failed: ${textOf(error)}`);
  }

  /** A server may only stop because its disk failed. */
  #stopped(server: SimServer, error: unknown): void {
    if (this.server !== server) return;
    this.trace(`start ${server.start} stopped: ${textOf(error)}`);
    if (this.world.disk.failures === this.#failuresMet) {
      this.wrong(`the server stopped although no disk failed: ${textOf(error)}`);
      return;
    }
    this.#failuresMet = this.world.disk.failures;
    this.crash();
  }

  #connect(owner: SocketOwner): SimSocket | undefined {
    return this.server?.isServing === true ? this.server.connect(owner) : undefined;
  }

  #reconnectSoon(client: SimPublisher | SimSubscriber): void {
    this.#clients.after(this.#random.duration(1, 500), () => client.connect());
  }

  #newPublisher(name: string): SimPublisher {
    return new SimPublisher({
      name,
      random: this.world.random.fork(name),
      process: this.#clients,
      credit: this.world.settings.creditFrames,
      pool: this.#pool,
      wallMs: () => Math.floor(BASE_MS + this.scheduler.elapsedMs),
      onSend: (event) => this.model.send(event),
      onAck: (events, ack) => {
        this.trace(`ack to ${name}: frame ${ack.seq}, ${events.length} events, record ${ack.receipt}`);
        this.wrong(this.model.acked(events, ack));
      },
      onWrong: (what) => this.wrong(what),
      connect: (owner) => this.#connect(owner),
    });
  }

  #newSubscriber(name: string, channel: string, everyMs: number): SimSubscriber {
    return new SimSubscriber({
      name,
      channel,
      everyMs,
      process: this.#clients,
      connect: (owner) => this.#connect(owner),
      onShown: (frame) => this.#shown.left(frame),
      onState: (subscriber) => {
        const { epoch = "", seq = 0 } = subscriber.state.position ?? {};
        if (!this.#epochs.includes(epoch)) this.#epochs.push(epoch);
        this.trace(`${name} has ${channel} ${seq} of epoch ${this.#epochs.indexOf(epoch)}`);
        this.#shown.held(subscriber);
      },
    });
  }

  /** Frames now and then, and clients whose wire was cut come back; the answer ends the frames. */
  #traffic(lastsMs: number): () => void {
    const meanMs = (lastsMs * this.publishers.length) / this.#random.duration(FRAMES_MIN, FRAMES_MAX);
    let on = true;
    for (const publisher of this.publishers) {
      const next = (): void => {
        if (!on) return;
        if (this.#random.chance(0.02)) publisher.publishGarbage();
        else publisher.publish();
        this.#clients.after(this.#random.duration(meanMs / 8, meanMs * 3), next);
      };
      this.#clients.after(this.#random.next() * meanMs, next);
    }
    this.#clients.every(2_000, () => {
      for (const client of [...this.publishers, ...this.subscribers]) client.connect();
    });
    return () => {
      on = false;
    };
  }

  #checkBounds(): void {
    const { server } = this;
    if (server?.isServing !== true) return;
    const { heldBytesMax } = this.world.settings;
    if (server.admission.heldBytes > heldBytesMax) this.wrong(`${server.admission.heldBytes} bytes are held`);
    for (const { mailboxBytes } of server.hosts.statuses) {
      if (mailboxBytes > heldBytesMax) this.wrong(`${mailboxBytes} bytes are in a mailbox`);
    }
    for (const publisher of this.publishers) {
      if (publisher.unansweredMs > ANSWER_MS_MAX) this.wrong(`${publisher.name} gets no answer on an open connection`);
    }
  }

  async #settle(): Promise<void> {
    const deadlineMs = this.scheduler.elapsedMs + SETTLE_MS;
    while (this.#violation === undefined) {
      await this.scheduler.run(this.scheduler.elapsedMs + 2 * CHECK_EVERY_MS, () => this.#violation !== undefined);
      const late = this.scheduler.elapsedMs >= deadlineMs;
      const found = await this.#whatDiffers(late);
      if (this.#violation !== undefined) return;
      if (found.length === 0) return this.trace("everything agrees");
      if (late) this.wrong(`${SETTLE_MS / 1_000} s after the last fault: ${found.join("; ")}`);
    }
  }

  async #whatDiffers(all: boolean): Promise<string[]> {
    const { server, model, subscribers } = this;
    if (server?.isServing !== true) return ["the server does not serve"];
    if (this.publishers.some((publisher) => !publisher.isIdle)) return ["publishers still have frames to send"];
    const { questdb } = this.world;
    let found: string[] | undefined;
    differences({ server, model, questdb, subscribers }, all).then(
      (all) => (found = all),
      // A host that is not back yet answers nothing.
      (error: unknown) => (found = [`a question failed: ${textOf(error)}`]),
    );
    await this.scheduler.run(this.scheduler.elapsedMs + QUESTION_MS, () => found !== undefined || this.#violation !== undefined);
    return found ?? ["questions get no answer"];
  }

  #result(): RunResult {
    return {
      seed: this.seed,
      violation: this.#violation,
      trace: this.#trace,
      hash: createHash("sha256").update(this.#trace.join("\n")).digest("hex").slice(0, 16),
      virtualMs: this.scheduler.elapsedMs,
      steps: this.scheduler.steps,
      faults: this.faults,
      acks: this.model.acks,
      events: this.model.sent.size,
    };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
