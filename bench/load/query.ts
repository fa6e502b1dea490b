/**
 * What the HTTP questions cost, by kind: with nothing else to do, beside ingest at half of what the server can take, and what the
 * questions cost that ingest. Questions come at a fixed rate, kind after kind; a latency counts from the planned time of asking.
 *
 *   quiet      questions alone, on what was loaded before: answers are known exactly
 *   ingest     events alone, at half load
 *   both       the same with questions: an answer holds at least what was acknowledged before it was asked for
 *   ledger     the same with one question a second for dead letters and the ledger, which has a snapshot taken
 *
 * With --questdb also stored panes (`rollup`) and recounts of events (`raw`), once the warehouse has all that was loaded.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type QueryAnswer, type QueryRequest, type WeirClient } from "../../client/index.ts";
import { reportOf, type BenchOptions, type BenchReport, type BenchResult, type Figures } from "../harness.ts";
import { LoadDriver } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { quantileOf } from "../statistics.ts";
import { cleanWorkload, distinctEvents, expectedAnswer, generateTemplates, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { seconds: 0.5, questionsPerSecond: 20, frames: 40, templates: 20 },
  normal: { seconds: 10, questionsPerSecond: 20, frames: 5_000, templates: 500 },
  full: { seconds: 60, questionsPerSecond: 20, frames: 50_000, templates: 500 },
} as const;
const CONNECTIONS = 8;
const IN_FLIGHT = 16;
const WAREHOUSE_TIMEOUT_MS = 300_000;
const POLL_MS = 200;
const LEDGER = "ledger";
const LEDGERS_PER_SECOND = 1;

interface Pace {
  readonly seconds: number;
  readonly questionsPerSecond: number;
}

/** A question, and the number of events that its answer stands for. */
interface Question {
  readonly kind: string;
  readonly ask: (client: WeirClient) => Promise<number>;
}

interface Asked {
  readonly latencies: Map<string, number[]>;
  asked: number;
}

export async function query(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const settings = { WEIR_QUESTDB: options.flags.has("questdb") ? "managed" : "off" };
  const workload: WorkloadParameters = { ...cleanWorkload, templates: size.templates, nowMs: Date.now() };
  const server = await WeirServer.start({ codec: "records", settings });
  const client = connect({ url: server.url, key: server.key });
  const { driver } = await LoadDriver.start(
    { url: server.streamUrl, key: server.key, codec: server.codec, connections: CONNECTIONS },
    workload,
  );
  try {
    progress("loading");
    await driver.run(size.frames, { kind: "closed", inFlight: IN_FLIGHT });
    const full = await driver.run(size.frames, { kind: "closed", inFlight: IN_FLIGHT });
    const framesPerSecond = (full.frames * 500) / full.durationMs;
    let frames = 2 * size.frames;
    const questions = [...liveQuestions(workload, frames), ...(options.flags.has("questdb") ? storedQuestions() : [])];
    if (options.flags.has("questdb")) await warehouseHas(client, distinctEvents(frames, workload), progress);

    progress("questions alone");
    const loaded = distinctEvents(frames, workload);
    const quietCpuUs = server.cpuUs();
    const quiet = await askAll(client, questions, size, [loaded, loaded]);
    const quietQuestionUs = (server.cpuUs() - quietCpuUs) / quiet.asked;

    const ingest = async (): Promise<Figures> => {
      const some = Math.ceil(size.seconds * framesPerSecond);
      const cpuBeforeUs = server.cpuUs();
      const run = await driver.run(some, { kind: "open", framesPerSecond });
      frames += some;
      const events = some * workload.batch;
      const cpuUs = (server.cpuUs() - cpuBeforeUs) / events;
      const eventsPerSecond = (events * 1_000) / run.durationMs;
      return { eventsPerSecond, ackP50Ms: run.ackP50Ms, ackP99Ms: run.ackP99Ms, serverCpuUsPerEvent: cpuUs };
    };
    progress("ingest alone, at half load");
    const alone = await ingest();
    const beside = async (asked: readonly Question[], questionsPerSecond: number): Promise<Figures> => {
      const before = distinctEvents(frames, workload);
      const after = distinctEvents(frames + Math.ceil(size.seconds * framesPerSecond), workload);
      const [events, questioned] = await Promise.all([
        ingest(),
        askAll(client, asked, { ...size, questionsPerSecond }, [before, after]),
      ]);
      return { ...figuresOf(questioned), ...events };
    };
    // Stored answers lag behind while events come; what live ones must hold is known.
    const live = questions.filter(({ kind }) => kind !== LEDGER && !kind.startsWith("stored"));
    progress("both");
    const both = await beside(live, size.questionsPerSecond);
    progress("ledger");
    const ledger = await beside(
      questions.filter(({ kind }) => kind === LEDGER),
      LEDGERS_PER_SECOND,
    );
    const answer = await verify(server, frames, workload);
    const results: BenchResult[] = [
      { name: "quiet", rounds: 1, figures: { ...figuresOf(quiet), serverCpuUsPerQuestion: quietQuestionUs } },
      { name: "ingest", rounds: 1, figures: alone },
      { name: "both", rounds: 1, figures: both },
      { name: "ledger", rounds: 1, figures: ledger },
    ];
    const ratios = Object.fromEntries(
      Object.entries(alone).flatMap(([name, value]) => [
        [`${name}: both / ingest`, (both[name] ?? Number.NaN) / value],
        [`${name}: ledger / ingest`, (ledger[name] ?? Number.NaN) / value],
      ]),
    );
    // Only what does not depend on the machine's speed.
    const answers = options.size === "small" ? loaded : [loaded, Array.isArray(answer)];
    return reportOf("query", { ...size, ...settings }, results, ratios, answers);
  } finally {
    driver.stop();
    await client.close();
    await server.stop();
  }
}

function counted(answer: QueryAnswer, column: string): number {
  return answer.data.reduce((sum, row) => sum + Number(row[column] ?? 0), 0);
}

function liveQuestions(workload: WorkloadParameters, frames: number): Question[] {
  const pool = generateTemplates(workload);
  const share = expectedAnswer(pool, frames, workload).filter(({ country }) => country === "DE");
  const total = distinctEvents(frames, workload);
  const inGermany = share.reduce((sum, { count }) => sum + count, 0);
  const session = pool[0]?.[0]?.sessionId ?? "";
  const ask = (request: Omit<QueryRequest, "cacheTTL" | "timeRange">, column: string) => async (client: WeirClient) =>
    counted(await client.query({ ...request, timeRange: { last: "24h" }, cacheTTL: 0 }), column);
  const byType = { metrics: ["events_by_type_and_country.count"], dimensions: ["eventType", "country"] };
  return [
    { kind: "total", ask: ask({ metrics: ["events.count"] }, "events.count") },
    { kind: "by type and country", ask: ask(byType, "events_by_type_and_country.count") },
    { kind: "by minute", ask: ask({ ...byType, granularity: "1m" }, "events_by_type_and_country.count") },
    {
      kind: "one country",
      async ask(client) {
        const filters = [{ dimension: "country", op: "eq" as const, value: "DE" }];
        const of = await ask({ ...byType, filters }, "events_by_type_and_country.count")(client);
        // Its share of all events stays the same but for where in the pool the frames end: it may not fall.
        if (of < inGermany) throw new Error(`${of} events in one country, ${inGermany} were loaded`);
        return Number.NaN;
      },
    },
    {
      kind: "distinct",
      async ask(client) {
        const answer = await client.query({ metrics: ["active_users.distinct"], timeRange: { last: "24h" }, cacheTTL: 0 });
        const users = Number(answer.data[0]?.["active_users.distinct"] ?? 0);
        if (!(users > 0 && users < 1.1 * workload.users)) throw new Error(`${users} distinct users of ${workload.users}`);
        return Number.NaN;
      },
    },
    {
      kind: "realtime",
      async ask(client) {
        const { metrics } = await client.realtime(["events.count", "active_users", "active_sessions"], "day");
        if (metrics.length !== 3) throw new Error(`${metrics.length} values of 3`);
        return Number(metrics[0]?.value);
      },
    },
    {
      kind: "session",
      async ask(client) {
        const { events } = await client.session(session);
        if (!(events > 0 && events <= total * 1_000)) throw new Error(`a session of ${events} events`);
        return Number.NaN;
      },
    },
    {
      kind: "catalog",
      async ask(client) {
        const metrics = await client.catalog();
        if (!metrics.some(({ name }) => name === "events")) throw new Error("the catalog lacks a metric");
        return Number.NaN;
      },
    },
    { kind: LEDGER, ask: async (client) => (await client.deadLetters({ limit: 1 })).ledger.accepted },
  ];
}

/** What the warehouse answers; only when nothing is on its way there. */
function storedQuestions(): Question[] {
  const ask = (request: Omit<QueryRequest, "timeRange">, column: string) => async (client: WeirClient) =>
    counted(await client.query({ ...request, timeRange: { last: "24h" }, cacheTTL: 0 }), column);
  const metrics = ["events_by_type_and_country.count"];
  const dimensions = ["eventType", "country"];
  return [
    { kind: "stored panes", ask: ask({ metrics, dimensions, source: "rollup" }, "events_by_type_and_country.count") },
    { kind: "stored events, total", ask: ask({ metrics: ["events.count"], source: "raw" }, "events.count") },
    { kind: "stored events", ask: ask({ metrics, dimensions, source: "raw" }, "events_by_type_and_country.count") },
  ];
}

async function warehouseHas(client: WeirClient, events: number, progress: (line: string) => void): Promise<void> {
  progress("waiting for the warehouse");
  const deadlineMs = Date.now() + WAREHOUSE_TIMEOUT_MS;
  const pending = new Set(storedQuestions());
  while (pending.size > 0) {
    for (const question of pending) {
      // It may not answer yet.
      const has = await question.ask(client).catch(() => 0);
      if (has === events) pending.delete(question);
    }
    if (Date.now() > deadlineMs) throw new Error(`the warehouse does not have ${events} events`);
    await sleep(POLL_MS);
  }
}

/** Asks at a fixed rate, whether or not answers have come. `between`: the counts that an answer may lie between. */
async function askAll(
  client: WeirClient,
  questions: readonly Question[],
  { seconds, questionsPerSecond }: Pace,
  [least, most]: readonly [number, number],
): Promise<Asked> {
  const latencies = new Map<string, number[]>(questions.map(({ kind }) => [kind, []]));
  const startMs = performance.now();
  const count = Math.max(Math.ceil(seconds * questionsPerSecond), questions.length);
  const answers: Promise<void>[] = [];
  for (let number = 0; number < count; number++) {
    const question = questions[number % questions.length];
    if (question === undefined) break;
    const plannedMs = startMs + (number * 1_000) / questionsPerSecond;
    await sleep(Math.max(0, plannedMs - performance.now()));
    const answered = question.ask(client).then((events) => {
      latencies.get(question.kind)?.push(performance.now() - plannedMs);
      if (events < least || events > most)
        throw new Error(`${question.kind}: ${events} events, and there are ${least} to ${most}`);
    });
    answered.catch(() => undefined);
    answers.push(answered);
  }
  await Promise.all(answers);
  return { latencies, asked: count };
}

function figuresOf({ latencies }: Asked): Figures {
  const figures: Record<string, number> = {};
  for (const [kind, all] of latencies) {
    const sorted = Float64Array.from(all).sort();
    figures[`${kind}: p50 ms`] = quantileOf(sorted, 0.5);
    figures[`${kind}: p99 ms`] = quantileOf(sorted, 0.99);
  }
  return figures;
}
