/**
 * A real server in the hands of a fault test, with services that stream numbered events into it (the books and senders of the
 * crash test) and, where rows take part, a QuestDB. It is started again when it ends by itself, as a service manager does.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { randomFrom } from "../../bench/workload.ts";
import { connect, type WeirClient } from "../../client/index.ts";
import { DAY_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { QuestDbServer } from "../../storage/questdb/server.ts";
import { Books, cellsMetric, type Comparison } from "../crash/books.ts";
import { RawSender, SdkSender } from "../crash/senders.ts";
import { compareCells, compareRawRows, ledgerProblems, sessionRowEvents } from "../crash/verify.ts";
import { serverOptions } from "../storage/questdb/support/managed-questdb.ts";
import { eventually } from "../support/real-server.ts";
import { freePort, ServerProcess, type Exit, type Flags, type Surroundings } from "../support/server-process.ts";

export const TENANT = "faults";
/** Time enough for a slow, loaded machine; nothing passes or fails by it but what hangs. */
export const PATIENCE_MS = 120_000;
const RELAUNCH_MS = 300;
const EXAMPLES_MAX = 5;

/** Often what is rare in production. */
const flags: Flags = {
  partitions: 4,
  hostThreads: 2,
  snapshotEveryMs: 300,
  partialEveryMs: 50,
  journalRetentionMs: 0,
  diskReserveMib: 0,
  paneFineRetentionMs: MINUTE_MS,
  paneMinuteRetentionMs: 60 * DAY_MS,
  paneRetentionMs: 60 * DAY_MS,
  warehouseFlushMs: 50,
  warehouseFlushRows: 200,
};

export interface WorldOptions {
  readonly seed: number;
  readonly flags?: Flags;
  /** `external`: a QuestDB that the test starts and stops, which the server knows by its address. */
  readonly questdb?: "off" | "managed" | "external";
  /** Where its folder is made. */
  readonly parent?: string;
  readonly surroundings?: (world: World) => Launch;
}

export interface Launch extends Pick<Surroundings, "env" | "within"> {
  readonly nodeArgs?: readonly string[];
}

/** An end of the server that nobody asked for. */
export interface OwnExit extends Exit {
  readonly lastLines: string;
}

export class World {
  readonly server: ServerProcess;
  readonly books = new Books(Date.now() - 40 * DAY_MS);
  /** Outside of the data. */
  readonly scratch = mkdtempSync(join(tmpdir(), "weir-faults-"));
  readonly exits: OwnExit[] = [];
  readonly problems: string[] = [];
  readonly #options: WorldOptions;
  readonly #questdbPort: number;
  readonly #lost = new Set<number>();
  readonly #doubled = new Set<number>();
  readonly #stop = new AbortController();
  readonly #end = new AbortController();
  #questdb: QuestDbServer | undefined;
  #client: WeirClient | undefined;
  /** Of the tenant into which is streamed. */
  key = "";
  #sending: Promise<unknown> = Promise.resolve();
  #staysUp = false;
  #launch: Launch = {};

  private constructor(server: ServerProcess, questdbPort: number, options: WorldOptions) {
    this.server = server;
    this.#questdbPort = questdbPort;
    this.#options = options;
  }

  static async create(options: WorldOptions): Promise<World> {
    const questdbPort = await freePort();
    const { java, jar } = options.questdb === "managed" ? await serverOptions("") : { java: undefined, jar: "" };
    const questdb: Flags = {
      off: { questdb: "off" },
      external: { questdb: `http://127.0.0.1:${questdbPort}` },
      managed: { questdb: "managed", questdbHttpPort: questdbPort, questdbPgPort: await freePort(), questdbJar: jar },
    }[options.questdb ?? "off"];
    const path = [...(java === undefined ? [] : [dirname(java)]), process.env["PATH"]].join(delimiter);
    const server = await ServerProcess.create({ ...flags, ...questdb, ...options.flags }, { PATH: path }, options.parent);
    return new World(server, questdbPort, options);
  }

  /** The folder in which the server's folder lies. */
  get parent(): string {
    return this.#options.parent ?? tmpdir();
  }

  get client(): WeirClient {
    if (this.#client === undefined) throw new Error("the server was never started");
    return this.#client;
  }

  get lost(): number {
    return this.#lost.size;
  }

  get doubled(): number {
    return this.#doubled.size;
  }

  /** Starts the server, and a stream of events into it. */
  async begin(): Promise<void> {
    const { server, books } = this;
    const { seed, surroundings } = this.#options;
    const key = (this.key = await server.newKey(TENANT));
    this.#launch = surroundings?.(this) ?? {};
    this.launch();
    await server.untilReady(PATIENCE_MS);
    this.#client = connect({ url: server.url, key, complete: false, retry: { delayMsMin: 20, delayMsMax: 300 } });
    await this.client.defineMetric(cellsMetric);
    const onProblem = (problem: string): void => void this.problems.push(problem);
    const senders = [
      new SdkSender(this.client, { books, random: randomFrom(seed), onProblem }),
      new RawSender(server.url, key, { books, random: randomFrom(seed + 1), onProblem }),
    ];
    this.#sending = Promise.all(senders.map((sender) => sender.run(this.#stop.signal, this.#end.signal)));
    this.#sending.catch((error: unknown) => onProblem(String(error)));
    await this.progress(300);
  }

  /** Starts the server; from now on it is started again when it ends by itself. */
  launch(other: Flags = {}, launch: Launch = this.#launch): void {
    this.#launch = launch;
    this.#staysUp = true;
    const { nodeArgs = [], ...surroundings } = launch;
    const run = this.server.launch(other, nodeArgs, surroundings);
    void run.exit.then(async (exit) => {
      if (!this.#staysUp || this.server.run !== run) return;
      this.exits.push({ ...exit, lastLines: run.output.stderr.slice(-4_000) });
      await delay(RELAUNCH_MS);
      if (this.#staysUp && this.server.run === run) this.launch();
    });
  }

  /** As it was launched last. */
  relaunch(): void {
    this.launch();
  }

  /** Ends the server; `start` begins another one on its data. */
  async halt(signal: "SIGTERM" | "SIGKILL"): Promise<Exit> {
    this.#staysUp = false;
    return this.server.stop(signal);
  }

  /** Resolves when so many more events are acknowledged. */
  async progress(events: number): Promise<void> {
    const before = this.books.count;
    await eventually(() => this.books.count >= before + events, `${events} more events are acknowledged`, PATIENCE_MS);
  }

  /** No new events; resolves when all that were sent are acknowledged. */
  async quiet(): Promise<void> {
    this.#stop.abort();
    let done = false;
    void this.#sending.finally(() => (done = true)).catch(() => undefined);
    await eventually(() => done, "everything is acknowledged", PATIENCE_MS);
    const { count, sentCount } = this.books;
    if (count !== sentCount) this.problems.push(`${count} acked of ${sentCount} sent`);
  }

  /** Compares what the server shows with what it acknowledged. */
  async compareLive(when: string): Promise<void> {
    for (const problem of await ledgerProblems(this.client, this.books)) this.problems.push(`${when}: ${problem}`);
    this.#note(`live panes ${when}`, await compareCells(this.client, this.books, "live", { from: 0, to: this.books.sentCount }));
  }

  /** Compares the rows; they need their time to arrive. */
  async compareRows(): Promise<void> {
    const { books, client } = this;
    const questdb = this.sql();
    const settled = async (place: string, compare: () => Promise<Comparison>): Promise<void> => {
      let last: Comparison | undefined;
      const arrived = async (): Promise<boolean> => {
        last = await compare().catch(() => undefined);
        return last?.lost.length === 0 && last.doubled.length === 0;
      };
      await eventually(arrived, place, PATIENCE_MS).catch(() => undefined);
      if (last === undefined) this.problems.push(`${place} could not be read`);
      else this.#note(place, last);
    };
    try {
      await settled("raw rows", () => compareRawRows(questdb, TENANT, books, books.copy()));
      await settled("metric rows", () => compareCells(client, books, "rollup", { from: 0, to: books.sentCount }));
      let events = 0;
      const complete = async (): Promise<boolean> => {
        events = await sessionRowEvents(questdb, TENANT).catch(() => 0);
        return events === books.sentCount;
      };
      await eventually(complete, "session rows", PATIENCE_MS).catch(() => undefined);
      if (events !== books.sentCount) this.problems.push(`session rows count ${events} events of ${books.sentCount}`);
    } finally {
      await questdb.close();
    }
  }

  /** Ends it in order, checks what is on disk, and looks once more after another start. */
  async compareAfterRestart(): Promise<void> {
    const { code, signal } = await this.halt("SIGTERM");
    if (code !== 0) this.problems.push(`the drain ended with ${signal ?? code}`);
    const { checks } = await auditDirectory(this.server.data);
    for (const { sum, state, expected, actual, note = "" } of checks) {
      if (state === "broken") this.problems.push(`audit: ${sum}: ${String(actual)} and not ${String(expected)} (${note})`);
    }
    this.launch({}, {});
    await this.server.untilReady(PATIENCE_MS);
    await this.compareLive("after a restart");
  }

  /** A connection for SQL of the operator's. */
  sql(): QuestDbHttp {
    return new QuestDbHttp({ url: `http://127.0.0.1:${this.#questdbPort}`, timeoutMs: 10_000 });
  }

  get questdbRoot(): string {
    return this.#options.questdb === "managed" ? join(this.server.data, "questdb") : join(this.scratch, "questdb");
  }

  async startQuestDb(): Promise<void> {
    this.#questdb = new QuestDbServer({ ...(await serverOptions(this.questdbRoot)), httpPort: this.#questdbPort });
    await this.#questdb.start();
  }

  async stopQuestDb(): Promise<void> {
    await this.#questdb?.stop();
    this.#questdb = undefined;
  }

  /** As a crash of it would. */
  async killQuestDb(): Promise<void> {
    this.#questdb?.kill();
    await this.stopQuestDb();
  }

  /** Of the process that holds the root folder. */
  get questdbPid(): number | undefined {
    const file = join(this.questdbRoot, "questdb-process.json");
    if (!existsSync(file)) return undefined;
    const { pid } = JSON.parse(readFileSync(file, "utf8")) as { pid: number };
    return existsSync(`/proc/${pid}`) ? pid : undefined;
  }

  async warehouseIs(state: "ready" | "pending"): Promise<void> {
    await eventually(async () => (await this.server.ready())?.warehouse === state, `the warehouse is ${state}`, PATIENCE_MS);
  }

  /** Leaves neither processes nor files. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#end.abort();
    await this.#client?.close({ timeoutMs: 0 });
    this.#staysUp = false;
    const pid = this.#options.questdb === "managed" ? this.questdbPid : undefined;
    await this.server.end();
    if (pid !== undefined && this.#isQuestDb(pid)) process.kill(pid, "SIGKILL");
    await this.stopQuestDb();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  #isQuestDb(pid: number): boolean {
    return existsSync(`/proc/${pid}`) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.server.data);
  }

  #note(place: string, { lost, doubled, unsent }: Comparison): void {
    const examples = (list: readonly unknown[]): string => list.slice(0, EXAMPLES_MAX).join();
    if (lost.length > 0) this.problems.push(`${lost.length} acked events are lost in ${place}: ${examples(lost)}`);
    if (doubled.length > 0) this.problems.push(`${doubled.length} are doubled in ${place}: ${examples(doubled)}`);
    if (unsent.length > 0) this.problems.push(`${unsent.length} in ${place} were never sent: ${examples(unsent)}`);
    for (const n of lost) this.#lost.add(n);
    for (const n of doubled) this.#doubled.add(n);
  }
}
