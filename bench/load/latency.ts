/**
 * How old a number is when it is seen, at a fixed rate of 10,000 events/s: from the planned time of sending an event to
 *   - its ack,
 *   - the first delta on `events@day` whose count includes it,
 *   - the first raw count from the warehouse that includes it (asked for every 100 ms, so up to 100 ms too high).
 * Counts only rise, and the frames of the single publisher are counted in their order, so a count says which frames it includes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type WeirClient } from "../../client/index.ts";
import { reportOf, type BenchOptions, type BenchReport } from "../harness.ts";
import { LoadDriver, type RunFigures } from "../load-driver.ts";
import { WeirServer } from "../servers.ts";
import { quantileOf } from "../statistics.ts";
import { cleanWorkload, distinctEvents, type WorkloadParameters } from "../workload.ts";
import { verify } from "./measure-server.ts";

const sizes = {
  small: { seconds: 0.5, eventsPerSecond: 2_000, batch: 20 },
  normal: { seconds: 20, eventsPerSecond: 10_000, batch: 20 },
  full: { seconds: 120, eventsPerSecond: 10_000, batch: 20 },
} as const;
const WAREHOUSE_POLL_MS = 100;
const QUIET_TIMEOUT_MS = 30_000;

export async function latency(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const withWarehouse = options.flags.has("questdb");
  const settings = { WEIR_QUESTDB: withWarehouse ? "managed" : "off" };
  const workload: WorkloadParameters = { ...cleanWorkload, batch: size.batch, duplicatesPer100: 0, nowMs: Date.now() };
  progress("starting the server");
  const server = await WeirServer.start({ codec: "records", settings });
  const client = connect({ url: server.url, key: server.key });
  try {
    if (withWarehouse) await warehouseReady(server.url);
    const target = { url: server.streamUrl, key: server.key, codec: server.codec, connections: 1 };
    const { driver } = await LoadDriver.start(target, workload);
    try {
      const frames = Math.ceil((size.seconds * size.eventsPerSecond) / size.batch);
      const watch = new CountWatch(distinctEvents(frames, workload));
      await watchChannel(client, watch);
      const warehouse = withWarehouse ? pollWarehouse(client, new CountWatch(watch.target)) : undefined;
      progress(`${size.eventsPerSecond} events/s for ${size.seconds} s`);
      const framesPerSecond = size.eventsPerSecond / size.batch;
      const run = await driver.run(frames, { kind: "open", framesPerSecond });
      await watch.reached();
      const figures = {
        ackP50Ms: run.ackP50Ms,
        ackP99Ms: run.ackP99Ms,
        ...agesOf("subscriber", watch, run, framesPerSecond, size.batch),
        ...(warehouse === undefined ? {} : agesOf("warehouse", await warehouse, run, framesPerSecond, size.batch)),
      };
      const answer = await verify(server, frames, workload);
      return reportOf("latency", { ...size, ...settings }, [{ name: "weir", rounds: 1, figures }], {}, answer);
    } finally {
      driver.stop();
    }
  } finally {
    await client.close();
    await server.stop();
  }
}

/** Events are taken before QuestDB answers; its age is measured from when it does. */
export async function warehouseReady(url: string): Promise<void> {
  const deadlineMs = Date.now() + 10 * QUIET_TIMEOUT_MS;
  for (;;) {
    const { warehouse } = (await (await fetch(`${url}/readyz`)).json()) as { warehouse: string };
    if (warehouse === "ready") return;
    if (Date.now() > deadlineMs) throw new Error("QuestDB did not become ready");
    await sleep(WAREHOUSE_POLL_MS);
  }
}

/** Counts as they were seen, with the time of each; resolves when the last event is included. */
export class CountWatch {
  readonly target: number;
  readonly seen: { readonly atMs: number; readonly count: number }[] = [];
  #resolve: () => void = () => undefined;
  readonly #done: Promise<void>;

  constructor(target: number) {
    this.target = target;
    this.#done = new Promise((resolve) => (this.#resolve = resolve));
  }

  note(count: number): void {
    const last = this.seen.at(-1)?.count ?? 0;
    if (count > last) this.seen.push({ atMs: Date.now(), count });
    if (count >= this.target) this.#resolve();
  }

  get isComplete(): boolean {
    return (this.seen.at(-1)?.count ?? 0) >= this.target;
  }

  async reached(): Promise<void> {
    const stop = new AbortController();
    const timeout = sleep(QUIET_TIMEOUT_MS, undefined, { signal: stop.signal }).then(
      () => Promise.reject(new Error(`only ${this.seen.at(-1)?.count ?? 0} of ${this.target} events became visible`)),
      () => undefined,
    );
    await Promise.race([this.#done, timeout]);
    stop.abort();
  }
}

async function watchChannel(client: WeirClient, watch: CountWatch): Promise<void> {
  const subscription = client.subscribe("events@day", { every: 100 }, (change) => {
    for (const row of change.changed) watch.note(Number(row["count"]));
  });
  await subscription.ready;
}

async function pollWarehouse(client: WeirClient, watch: CountWatch): Promise<CountWatch> {
  const deadlineMs = Date.now() + 10 * QUIET_TIMEOUT_MS;
  while (!watch.isComplete) {
    if (Date.now() > deadlineMs) throw new Error(`the warehouse has ${watch.seen.at(-1)?.count ?? 0} of ${watch.target} events`);
    const { data } = await client.query({ metrics: ["events.count"], timeRange: { last: "24h" }, source: "raw", cacheTTL: 0 });
    watch.note(Number(data[0]?.["events.count"] ?? 0));
    await sleep(WAREHOUSE_POLL_MS);
  }
  return watch;
}

/** For each frame, the time from its planned sending to the first count that includes it. */
export function agesOf(
  name: string,
  watch: CountWatch,
  run: RunFigures,
  framesPerSecond: number,
  batch: number,
): Record<string, number> {
  const ages = new Float64Array(run.frames);
  let next = 0;
  for (let frame = 0; frame < run.frames; frame++) {
    while ((watch.seen[next]?.count ?? 0) < (frame + 1) * batch && next < watch.seen.length - 1) next++;
    const plannedMs = run.startedAtMs + (frame * 1_000) / framesPerSecond;
    ages[frame] = (watch.seen[next]?.atMs ?? Number.NaN) - plannedMs;
  }
  ages.sort();
  return {
    [`${name}P50Ms`]: quantileOf(ages, 0.5),
    [`${name}P99Ms`]: quantileOf(ages, 0.99),
    [`${name}MaxMs`]: quantileOf(ages, 1),
  };
}
