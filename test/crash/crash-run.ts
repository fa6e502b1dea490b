/**
 * One crash test: two services stream numbered events into a real server that is killed again and again, by a plan, and started
 * again on the same data. After each restart and in the end, what the server shows is compared with what it acknowledged.
 *
 *   launch -> ready -> compare -> a frame is acked -> the kill -> launch -> ...         services: send, resend, without a break
 *                                                        last -> all acked -> compare live, metric rows, raw rows -> drain -> audit
 */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { connect, type WeirClient } from "../../client/index.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { auditDirectory } from "../../server/audit/directory.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { randomFrom } from "../../bench/workload.ts";
import { eventually } from "../support/real-server.ts";
import { Books, cellsMetric, MINUTE_EVENTS, type Comparison } from "./books.ts";
import { isCrashPoint, planOf, type Kill, type KillKind } from "./kill-plan.ts";
import { RawSender, SdkSender } from "./senders.ts";
import { Subject } from "./subject.ts";
import { compareCells, compareRawRows, ledgerProblems, sessionRowEvents, settled } from "./verify.ts";

const TENANT = "crash";
/** Time enough for a slow, loaded machine; nothing passes or fails by it but what hangs. */
const PATIENCE_MS = 180_000;
const RANDOM_MS_MAX = 1_500;
const EXIT_MS = 5_000;
const DRAIN_MS_MAX = 150;
/** A comparison reaches so many minutes of event time back, each tenth one all of it. */
const COMPARED_MINUTES = 120;
const EXAMPLES_MAX = 5;
const FAULT_LENGTH_MAX = 500;

export interface CrashOptions {
  readonly kinds: readonly KillKind[];
  readonly seed: number;
  readonly questdb: boolean;
  /** `vary`: another number at each start, so that partitions move from journal to journal. */
  readonly hostThreads: number | "vary";
  readonly progress: (line: string) => void;
  /** When it fires, no further kill follows: what has happened so far is verified as in the end. */
  readonly signal?: AbortSignal;
}

export interface CrashReport {
  readonly seed: number;
  readonly kills: number;
  readonly killsByPoint: Readonly<Record<string, number>>;
  readonly sent: number;
  readonly acked: number;
  /** Verdicts `duplicate`: events that were sent again although they were on disk. */
  readonly duplicates: number;
  /** Events, by where they were missing or too many. */
  readonly lost: Readonly<Record<Place, number>>;
  readonly doubled: Readonly<Record<Place, number>>;
  readonly unsent: number;
  readonly comparisons: number;
  readonly restartMs: { readonly median: number; readonly max: number };
  readonly seconds: number;
  /** Everything that must not be, in words. Empty: the test has passed. */
  readonly problems: readonly string[];
}

const places = ["live panes", "metric rows", "raw rows"] as const;
type Place = (typeof places)[number];

export async function crashRun(options: CrashOptions): Promise<CrashReport> {
  const subject = await Subject.create(options);
  const run = new CrashRun(subject, options);
  try {
    return await run.run();
  } finally {
    await subject.close();
  }
}

/** What a short run within the tests has to have shown, with kills of these kinds among others. */
export function assertPassed(report: CrashReport, kinds: readonly KillKind[]): void {
  assert.deepEqual(report.problems, []);
  assert.deepEqual([report.acked, report.unsent], [report.sent, 0]);
  for (const count of [...Object.values(report.lost), ...Object.values(report.doubled)]) assert.equal(count, 0);
  assert.ok(report.duplicates > 0, "events were sent again");
  assert.ok(report.comparisons > 0, "answers were compared between the kills");
  for (const kind of kinds) assert.ok((report.killsByPoint[kind] ?? 0) > 0, `no kill at ${kind}`);
}

class CrashRun {
  readonly #subject: Subject;
  readonly #options: CrashOptions;
  readonly #random: () => number;
  readonly #books = new Books(Date.now() - 40 * DAY_MS);
  readonly #killsByPoint: Partial<Record<KillKind, number>> = {};
  readonly #lost: Record<Place, Set<number>>;
  readonly #doubled: Record<Place, Set<number>>;
  readonly #unsent = new Set<string>();
  readonly #problems: string[] = [];
  readonly #restartsMs: number[] = [];
  #comparisons = 0;
  #kills = 0;

  constructor(subject: Subject, options: CrashOptions) {
    this.#subject = subject;
    this.#options = options;
    this.#random = randomFrom(options.seed);
    const [live, rows, raw] = [new Set<number>(), new Set<number>(), new Set<number>()];
    this.#lost = { "live panes": live, "metric rows": rows, "raw rows": raw };
    this.#doubled = { "live panes": new Set(), "metric rows": new Set(), "raw rows": new Set() };
  }

  async run(): Promise<CrashReport> {
    const startedMs = Date.now();
    const { server } = this.#subject;
    const key = await server.newKey(TENANT);
    // Before there are events, so nothing can be kept from a warehouse.
    server.launch({ hostThreads: this.#hostThreads(), questdb: "off" });
    await server.untilReady(PATIENCE_MS);
    const client = connect({ url: server.url, key, complete: false, retry: { delayMsMin: 20, delayMsMax: 100 } });
    const senderOptions = {
      books: this.#books,
      random: randomFrom(this.#options.seed + 1),
      onProblem: (problem: string) => this.#problem(problem),
    };
    const senders = [new SdkSender(client, senderOptions), new RawSender(server.url, key, senderOptions)];
    const [stop, end] = [new AbortController(), new AbortController()];
    try {
      await client.defineMetric(cellsMetric);
      const sending = Promise.all(senders.map((sender) => sender.run(stop.signal, end.signal)));
      await this.#killAll(client);
      stop.abort();
      await this.#finish(client, sending);
    } catch (error) {
      const { stderr } = server.run.output;
      this.#problem(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${stderr.slice(-2_000)}`);
    } finally {
      stop.abort();
      end.abort();
      await client.close({ timeoutMs: 0 });
    }
    return this.#report(
      senders.reduce((sum, { duplicates }) => sum + duplicates, 0),
      Date.now() - startedMs,
    );
  }

  async #killAll(client: WeirClient): Promise<void> {
    await this.#subject.server.stop("SIGKILL");
    for (const kill of planOf(this.#options.kinds, this.#random)) {
      if (this.#options.signal?.aborted === true) return;
      await this.#live(kill, client);
      await this.#expectKilled(kill);
    }
  }

  /** One life of the server, from its start to its end. */
  async #live(kill: Kill, client: WeirClient): Promise<void> {
    const subject = this.#subject;
    const startedMs = performance.now();
    subject.launch(this.#hostThreads(), kill);
    if (kill.kind === "start") {
      await this.#orEnd(delay(kill.instant * (median(this.#restartsMs) ?? 500)));
      await subject.server.stop("SIGKILL");
      return;
    }
    if (!(await this.#orEnd(subject.server.untilReady(PATIENCE_MS)))) return;
    this.#restartsMs.push(performance.now() - startedMs);
    if (!(await this.#orEnd(this.#compareAfterRestart(client)))) return;
    const ackedBefore = this.#books.count;
    const progress = () => this.#books.count > ackedBefore;
    // A named point may come before the first ack.
    if (!(await this.#orEnd(eventually(progress, "a frame is acknowledged after the restart", PATIENCE_MS)))) return;
    await this.#orEnd(this.#end(kill));
    await subject.exit;
  }

  async #end({ kind, instant }: Kill): Promise<void> {
    const subject = this.#subject;
    // Of this life: a drain may be over, and the next life begun, before its kill comes.
    const { child } = subject.server.run;
    // Half of the instants with a warehouse that takes rows, half with one that is about to.
    const wantsRows = this.#options.questdb && (kind === "questdb" || instant < 0.5);
    if (wantsRows) await eventually(() => subject.warehouseIsReady(), "the warehouse is ready", PATIENCE_MS);
    if (isCrashPoint(kind) && kind !== "in-drain") return this.#awaitEnd();
    await delay(((instant * 2) % 1) * RANDOM_MS_MAX);
    if (kind === "in-drain") {
      child.kill("SIGTERM");
      return this.#awaitEnd();
    }
    if (kind === "questdb") {
      if (!subject.killQuestDb()) throw new Error("there is no QuestDB to kill");
      this.#count(kind);
      await delay(instant * RANDOM_MS_MAX);
    }
    if (kind === "drain") {
      child.kill("SIGTERM");
      await delay(instant * DRAIN_MS_MAX);
    }
    child.kill("SIGKILL");
  }

  async #awaitEnd(): Promise<void> {
    await eventually(() => this.#subject.ended, "the point is passed", PATIENCE_MS);
  }

  /** True when the work was done; false when the server has ended before. What then became of the work is of no interest. */
  async #orEnd(work: Promise<unknown>): Promise<boolean> {
    const done = work.then(
      () => true,
      async (error: unknown) => {
        // Its sockets close before we are told that it has ended.
        await Promise.race([this.#subject.exit, delay(EXIT_MS)]);
        if (this.#subject.ended) return false;
        throw error;
      },
    );
    done.catch(() => undefined);
    return Promise.race([done, this.#subject.exit.then(() => false)]);
  }

  async #expectKilled(kill: Kill): Promise<void> {
    const { signal, code } = await this.#subject.exit;
    for (const fault of this.#subject.faults) this.#problem(fault.slice(0, FAULT_LENGTH_MAX));
    const what = isCrashPoint(kill.kind) ? `${kill.kind}:${kill.pass}` : kill.kind;
    // A drain may be quicker than the kill.
    if (signal !== "SIGKILL" && !(kill.kind === "drain" && code === 0)) {
      throw new Error(`${what}: the server ended by itself with ${signal ?? code}`);
    }
    this.#count(kill.kind === "questdb" ? "random" : kill.kind);
    const { count, sentCount } = this.#books;
    const restart = Math.round(this.#restartsMs.at(-1) ?? 0);
    this.#options.progress(`${this.#kills} ${what}: ${count} acked of ${sentCount} sent, last restart ${restart} ms`);
  }

  #count(kind: KillKind): void {
    this.#kills++;
    this.#killsByPoint[kind] = (this.#killsByPoint[kind] ?? 0) + 1;
  }

  async #compareAfterRestart(client: WeirClient): Promise<void> {
    const minutes = Math.floor(this.#books.sentCount / MINUTE_EVENTS);
    const from = this.#comparisons % 10 === 0 ? 0 : Math.max(0, minutes - COMPARED_MINUTES) * MINUTE_EVENTS;
    const problems = await ledgerProblems(client, this.#books);
    const comparison = await compareCells(client, this.#books, "live", { from, to: this.#books.sentCount });
    for (const problem of problems) this.#problem(problem);
    this.#note("live panes", comparison);
    this.#comparisons++;
  }

  /** Once all that was sent is acknowledged, nothing may be missing anywhere. */
  async #finish(client: WeirClient, sending: Promise<unknown>): Promise<void> {
    const { server } = this.#subject;
    server.launch({ hostThreads: this.#hostThreads(), questdb: this.#subject.questdb });
    await server.untilReady(PATIENCE_MS);
    let quiet = false;
    void sending.then(() => (quiet = true));
    await eventually(() => quiet, "everything is acknowledged", PATIENCE_MS);
    if (this.#books.count !== this.#books.sentCount) this.#problem(`${this.#books.count} acked of ${this.#books.sentCount} sent`);
    for (const problem of await ledgerProblems(client, this.#books)) this.#problem(problem);
    const all = { from: 0, to: this.#books.sentCount };
    this.#note("live panes", await compareCells(client, this.#books, "live", all));
    if (this.#subject.questdbUrl !== undefined) await this.#compareRows(client, this.#subject.questdbUrl);
    const exit = await server.stop("SIGTERM");
    if (exit.code !== 0) this.#problem(`the last drain ended with ${exit.signal ?? exit.code}`);
    for (const fault of this.#subject.faults) this.#problem(fault.slice(0, FAULT_LENGTH_MAX));
    const { checks } = await auditDirectory(server.data);
    for (const { sum, state, expected, actual, note } of checks) {
      if (state === "broken") this.#problem(`audit: ${sum}: ${String(actual)} and not ${String(expected)} (${note ?? ""})`);
    }
  }

  /** Rows need their time to arrive: what is missing counts when no more come. */
  async #compareRows(client: WeirClient, url: string): Promise<void> {
    const books = this.#books;
    await eventually(() => this.#subject.warehouseIsReady(), "the warehouse is ready", PATIENCE_MS);
    const questdb = new QuestDbHttp({ url });
    const wrong = ({ lost, doubled }: Comparison): number => lost.length + doubled.length;
    try {
      this.#note("raw rows", await settled(() => compareRawRows(questdb, TENANT, books, books.copy()), wrong));
      const all = { from: 0, to: books.sentCount };
      this.#note("metric rows", await settled(() => compareCells(client, books, "rollup", all), wrong));
      const off = await settled(
        async () => (await sessionRowEvents(questdb, TENANT)) - books.sentCount,
        (difference) => difference,
      );
      if (off !== 0) this.#problem(`session rows count ${books.sentCount + off} events of ${books.sentCount}`);
    } finally {
      await questdb.close();
    }
  }

  #note(place: Place, { lost, doubled, unsent }: Comparison): void {
    const examples = (list: readonly unknown[]): string => list.slice(0, EXAMPLES_MAX).join();
    const newlyLost = lost.filter((n) => !this.#lost[place].has(n));
    const newlyDoubled = doubled.filter((n) => !this.#doubled[place].has(n));
    const newlyUnsent = unsent.filter((id) => !this.#unsent.has(id));
    if (newlyLost.length > 0) this.#problem(`${newlyLost.length} acked events are lost in ${place}: ${examples(newlyLost)}`);
    if (newlyDoubled.length > 0) this.#problem(`${newlyDoubled.length} are doubled in ${place}: ${examples(newlyDoubled)}`);
    if (newlyUnsent.length > 0) this.#problem(`${newlyUnsent.length} in ${place} were never sent: ${examples(newlyUnsent)}`);
    for (const n of newlyLost) this.#lost[place].add(n);
    for (const n of newlyDoubled) this.#doubled[place].add(n);
    for (const id of newlyUnsent) this.#unsent.add(id);
  }

  #problem(problem: string): void {
    const where = `after kill ${this.#kills}: ${problem}`;
    this.#problems.push(where);
    this.#options.progress(where);
  }

  #hostThreads(): number {
    const { hostThreads } = this.#options;
    return hostThreads === "vary" ? Math.floor(this.#random() * 4) : hostThreads;
  }

  #report(duplicates: number, tookMs: number): CrashReport {
    const counted = (by: Record<Place, Set<number>>): Record<Place, number> =>
      Object.fromEntries(places.map((place) => [place, by[place].size])) as Record<Place, number>;
    return {
      seed: this.#options.seed,
      kills: this.#kills,
      killsByPoint: this.#killsByPoint,
      sent: this.#books.sentCount,
      acked: this.#books.count,
      duplicates,
      lost: counted(this.#lost),
      doubled: counted(this.#doubled),
      unsent: this.#unsent.size,
      comparisons: this.#comparisons,
      restartMs: { median: Math.round(median(this.#restartsMs) ?? 0), max: Math.round(Math.max(0, ...this.#restartsMs)) },
      seconds: Math.round(tookMs / 1_000),
      problems: this.#problems,
    };
  }
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((left, right) => left - right)[values.length >> 1];
}
