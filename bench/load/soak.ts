/**
 * Steady load for a long time: does memory, latency or the work for an event grow? The server's settings let its state reach a
 * steady size within the warm-up: ids are remembered for a minute, panes of 10 s and of a minute are kept for one, sessions end
 * after a second, snapshots come every second and the journal is trimmed behind them. Hours stay, so that the answer at the end
 * can be held against all that was sent.
 *
 * Load comes in segments, each from a client process of its own with event times of then: events must move time on, or nothing
 * would ever be forgotten. Memory is sampled; a line through its samples after the warm-up must not rise more than the size says.
 * Memory is what is resident, without what V8 has taken for its heaps and does not use.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ExpectedAnswers } from "../expected-answers.ts";
import { reportOf, type BenchOptions, type BenchReport, type Figures } from "../harness.ts";
import { LoadDriver, type RunFigures } from "../load-driver.ts";
import { readMetrics } from "../metrics-page.ts";
import { WeirServer } from "../servers.ts";
import { medianOf, slopeOf } from "../statistics.ts";
import { cleanWorkload } from "../workload.ts";

const sizes = {
  small: {
    eventsPerSecond: 2_000,
    segmentSeconds: 0.5,
    // Hosts say once a second what they hold.
    warmUpSegments: 3,
    segments: 1,
    sampleMs: 100,
    slopeMiBPerMinuteMax: Infinity,
  },
  normal: {
    eventsPerSecond: 5_000,
    segmentSeconds: 5,
    warmUpSegments: 15,
    segments: 12,
    sampleMs: 1_000,
    slopeMiBPerMinuteMax: 32,
  },
  full: {
    eventsPerSecond: 10_000,
    segmentSeconds: 10,
    warmUpSegments: 12,
    segments: 180,
    sampleMs: 1_000,
    slopeMiBPerMinuteMax: 4,
  },
} as const;
const settings = {
  WEIR_QUESTDB: "off",
  // Each series has a pane in each partition, and panes of a minute stay until their hour is over: with few partitions they
  // are few, and all that memory may gain by them is half a MiB a minute.
  WEIR_PARTITIONS: "2",
  WEIR_DEDUP_HORIZON_MS: "60000",
  WEIR_PANE_FINE_RETENTION_MS: "60000",
  WEIR_PANE_MINUTE_RETENTION_MS: "60000",
  WEIR_SESSION_GAP_MS: "1000",
  WEIR_SNAPSHOT_EVERY_MS: "1000",
  WEIR_JOURNAL_RETENTION_MS: "0",
};
/** Few enough that a client is ready to send within a fraction of a segment. */
const TEMPLATES = 50;
const CONNECTIONS = 4;
const MIB = 2 ** 20;

interface Sample {
  readonly atMs: number;
  readonly figures: Figures;
}

interface Segment {
  readonly run: RunFigures;
  readonly cpuUs: number;
}

export async function soak(options: BenchOptions, progress: (line: string) => void): Promise<BenchReport> {
  const size = sizes[options.size];
  const server = await WeirServer.start({ codec: "records", settings });
  try {
    const load = new SoakLoad(server, size, progress);
    await load.runSegments(size.warmUpSegments);
    const watch = watchMemory(server, size.sampleMs);
    let segments: Segment[];
    let samples: readonly Sample[];
    try {
      segments = await load.runSegments(size.segments);
    } finally {
      samples = await watch.stop();
    }
    const answer = await load.expected.verify(server);
    const figures = { ...growthOf(samples), ...driftOf(segments, cleanWorkload.batch) };
    for (const [name, value] of Object.entries(figures)) progress(`${name} ${value.toFixed(2)}`);
    checkGrowth(figures["memoryMiBPerMinute"] ?? Number.NaN, size.slopeMiBPerMinuteMax);
    const parameters = { ...size, slopeMiBPerMinuteMax: String(size.slopeMiBPerMinuteMax), ...cleanWorkload, ...settings };
    return reportOf("soak", { ...parameters, templates: TEMPLATES }, [{ name: "weir", rounds: 1, figures }], {}, answer);
  } finally {
    await server.stop();
  }
}

export function checkGrowth(slopeMiBPerMinute: number, max: number): void {
  if (slopeMiBPerMinute <= max) return;
  throw new Error(`memory grew by ${slopeMiBPerMinute.toFixed(1)} MiB a minute; ${max} are allowed`);
}

type SoakSize = (typeof sizes)[keyof typeof sizes];

class SoakLoad {
  readonly #server: WeirServer;
  readonly #size: SoakSize;
  readonly #progress: (line: string) => void;
  readonly #frames: number;
  readonly expected = new ExpectedAnswers();
  #ran = 0;

  constructor(server: WeirServer, size: SoakSize, progress: (line: string) => void) {
    this.#server = server;
    this.#size = size;
    this.#progress = progress;
    this.#frames = Math.ceil((size.eventsPerSecond * size.segmentSeconds) / cleanWorkload.batch);
  }

  /** One client after the other; the next one gets ready while the last one sends. */
  async runSegments(count: number): Promise<Segment[]> {
    const segments: Segment[] = [];
    const framesPerSecond = this.#size.eventsPerSecond / cleanWorkload.batch;
    for (let left = count; left > 0; left--) {
      const total = this.#size.warmUpSegments + this.#size.segments;
      this.#progress(
        `segment ${this.#ran + 1}/${total}: ${this.#size.eventsPerSecond} events/s for ${this.#size.segmentSeconds} s`,
      );
      const driver = await this.#nextDriver();
      const { figures } = await sampleOf(this.#server);
      const said = [
        "memoryMiB",
        "rssMiB",
        "hostHeapMiB",
        "hostExternalMiB",
        "mainHeapMiB",
        "mainExternalMiB",
        "journalMiB",
        "rememberedIds",
        "panes",
      ];
      this.#progress(said.map((name) => `${name} ${Math.round(figures[name] ?? Number.NaN)}`).join(", "));
      try {
        const cpuBeforeUs = this.#server.cpuUs();
        const run = await driver.run(this.#frames, { kind: "open", framesPerSecond });
        segments.push({ run, cpuUs: this.#server.cpuUs() - cpuBeforeUs });
      } finally {
        driver.stop();
      }
    }
    return segments;
  }

  async #nextDriver(): Promise<LoadDriver> {
    const seed = cleanWorkload.seed + this.#ran++;
    // Events are between now and a second old: a session of the last segment has ended.
    const workload = { ...cleanWorkload, seed, templates: TEMPLATES, spreadMs: 1_000, nowMs: Date.now() };
    this.expected.add(workload, this.#frames);
    const { streamUrl: url, key, codec } = this.#server;
    const { driver } = await LoadDriver.start({ url, key, codec, connections: CONNECTIONS }, workload);
    return driver;
  }
}

/** Samples until stopped. */
function watchMemory(server: WeirServer, everyMs: number): { stop(): Promise<readonly Sample[]> } {
  const samples: Sample[] = [];
  const stopping = new AbortController();
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      samples.push(await sampleOf(server));
      await sleep(everyMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  // Whoever stops it hears of a failure.
  watching.catch(() => undefined);
  return {
    async stop() {
      stopping.abort();
      await watching;
      return samples;
    },
  };
}

async function sampleOf(server: WeirServer): Promise<Sample> {
  const metrics = await readMetrics(server.url);
  const of = (name: string): number => metrics.get(name) ?? Number.NaN;
  const rss = server.memoryBytes();
  const heaps = of("weir_host_heap_bytes") + of("nodejs_heap_size_used_bytes");
  const committed = of("weir_host_heap_committed_bytes") + of("nodejs_heap_size_total_bytes");
  const figures = {
    // V8 takes its young generations bit by bit, for minutes, whatever is in them: what it has taken and not used is no growth.
    memoryMiB: (rss - committed + heaps) / MIB,
    rssMiB: rss / MIB,
    hostHeapMiB: of("weir_host_heap_bytes") / MIB,
    hostExternalMiB: of("weir_host_external_bytes") / MIB,
    mainHeapMiB: of("nodejs_heap_size_used_bytes") / MIB,
    mainExternalMiB: of("nodejs_external_memory_bytes") / MIB,
    journalMiB: of("weir_journal_bytes") / MIB,
    stateMiB: of("weir_state_bytes") / MIB,
    mailboxMiB: of("weir_mailbox_bytes") / MIB,
    rememberedIds: of("weir_remembered_ids"),
    panes: of("weir_series_panes"),
    sessions: of("weir_sessions_resident"),
  };
  return { atMs: performance.now(), figures };
}

/** Of each sampled figure its median, and how much a line through all samples rises in a minute. */
function growthOf(samples: readonly Sample[]): Record<string, number> {
  const growth: Record<string, number> = {};
  const minutes = samples.map(({ atMs }) => atMs / 60_000);
  for (const name of Object.keys(samples[0]?.figures ?? {})) {
    const values = samples.map(({ figures }) => figures[name] ?? Number.NaN);
    growth[name] = medianOf(values);
    growth[`${name}PerMinute`] = slopeOf(minutes, values);
  }
  return growth;
}

/** What the first quarter of the segments had, and the last one. */
function driftOf(segments: readonly Segment[], batch: number): Record<string, number> {
  const quarter = Math.max(1, Math.floor(segments.length / 4));
  const of = (part: readonly Segment[], pick: (segment: Segment) => number): number => medianOf(part.map(pick));
  const first = segments.slice(0, quarter);
  const last = segments.slice(-quarter);
  const cpu = ({ run, cpuUs }: Segment): number => cpuUs / (run.frames * batch);
  return {
    ackP99MsFirst: of(first, ({ run }) => run.ackP99Ms),
    ackP99MsLast: of(last, ({ run }) => run.ackP99Ms),
    serverCpuUsPerEventFirst: of(first, cpu),
    serverCpuUsPerEventLast: of(last, cpu),
    ackMaxMs: Math.max(...segments.map(({ run }) => run.ackMaxMs)),
  };
}
