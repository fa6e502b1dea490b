/**
 * A gateway on real sockets with simple stand-ins behind it: a control store in memory, a publisher that journals nothing
 * and decides by what the event says, channels whose deltas a test pushes. `startGateway` closes all of it after the test.
 */
import { once } from "node:events";
import { Receipts } from "../../server/receipts.ts";
import { auditReport } from "../../protocol/audit-report.ts";
import type { TestContext } from "node:test";
import { decode, encode } from "msgpackr";
import { WebSocket } from "ws";
import { WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { defaultMetrics, type MetricDefinition } from "../../protocol/metric-definition.ts";
import { ACCEPTED, DUPLICATE, isDeadLetter, verdictOf } from "../../protocol/verdicts.ts";
import type { GatewayLimits } from "../../server/gateway-limits.ts";
import { createGateway, type Gateway, type GatewayConfig, type GatewayOptions } from "../../server/gateway.ts";
import { createLog } from "../../server/log.ts";
import { GatewayMetrics } from "../../server/metrics.ts";
import type { KeyState } from "../../storage/api-keys.ts";
import type { AuditPage, AuditRecord } from "../../storage/audit-log.ts";
import type { Control, ExportJobs, KeyOwner, QueryService, WarehouseState } from "../../server/services.ts";
import {
  topicOf,
  type ChannelAddress,
  type ChannelOpening,
  type Channels,
  type EventResult,
  type HostStatus,
  type LiveData,
  type PublishOutcome,
  type PublishRequest,
  type Publisher,
} from "../../workers/ports.ts";

export const tenant = "acme" as TenantId;
export const keys = { write: "weir_acme_w", read: "weir_acme_r", admin: "weir_acme_a", other: "weir_other_a" };

export class FakeControl implements Control {
  readonly owners = new Map<string, KeyOwner>([
    [keys.write, { tenant, scopes: ["write"], keyId: "w" }],
    [keys.read, { tenant, scopes: ["read"], keyId: "r" }],
    [keys.admin, { tenant, scopes: ["admin"], keyId: "a" }],
    [keys.other, { tenant: "other" as TenantId, scopes: ["admin"], keyId: "o" }],
  ]);
  readonly definitions = new Map<string, MetricDefinition>(defaultMetrics.map((metric) => [metric.name, metric]));

  verifyKey(key: string): KeyOwner | undefined {
    return this.owners.get(key);
  }

  keyState(keyId: string, nowMs: number): KeyState {
    const owner = [...this.owners.values()].find((each) => each.keyId === keyId);
    if (owner === undefined) return "unknown";
    return owner.expiresMs !== undefined && owner.expiresMs <= nowMs ? "expired" : "valid";
  }

  readonly recorded: (AuditRecord & { readonly log: string })[] = [];
  readonly auditRemoved = 0;

  async record(log: string, record: AuditRecord): Promise<void> {
    this.recorded.push({ log, ...record });
  }

  auditLog(log: string, { limit }: { limit: number }): AuditPage {
    const entries = this.recorded.map((record, index) => ({ seq: index + 1, ...record })).filter((each) => each.log === log);
    return { entries: entries.toReversed().slice(0, limit), removed: 0 };
  }

  async noteExpiredKeys(): Promise<readonly []> {
    return [];
  }

  metrics(): readonly MetricDefinition[] {
    return [...this.definitions.values()];
  }

  metric(_tenant: TenantId, name: string): MetricDefinition | undefined {
    return this.definitions.get(name);
  }

  async putMetric(_tenant: TenantId, definition: MetricDefinition): Promise<"created" | "unchanged"> {
    const before = this.definitions.get(definition.name);
    if (before === undefined) {
      this.definitions.set(definition.name, definition);
      return "created";
    }
    if (JSON.stringify(before) !== JSON.stringify(definition)) throw new WeirError("WEIR_METRIC_EXISTS");
    return "unchanged";
  }

  async removeMetric(_tenant: TenantId, name: string): Promise<boolean> {
    return this.definitions.delete(name);
  }
}

/** Events say what is to become of them: `{eventId, verdict: "late"}`. While `holding`, nothing is answered. */
export class FakePublisher implements Publisher {
  readonly requests: (PublishRequest & { readonly events: readonly unknown[] })[] = [];
  readonly undecodable: Uint8Array[] = [];
  readonly #held: (() => void)[] = [];
  readonly #seen = new Set<string>();
  holding = false;
  refusal: PublishOutcome | undefined;
  explodes = false;

  publish(request: PublishRequest, done: (outcome: PublishOutcome) => void): void {
    if (this.explodes) throw new TypeError("secret inside");
    // msgpackr marks the buffers that it has read.
    const bytes = request.bytes.slice();
    let outcome: PublishOutcome;
    try {
      const events = eventsOf(request.format, bytes);
      this.requests.push({ ...request, bytes, events });
      outcome = this.refusal ?? this.#commit(request, events);
    } catch {
      this.undecodable.push(bytes.slice());
      outcome = { kind: "refused", code: "WEIR_FRAME_MALFORMED" };
    }
    const answer = () => done(outcome);
    if (this.holding) this.#held.push(answer);
    else setImmediate(answer);
  }

  get held(): number {
    return this.#held.length;
  }

  release(): void {
    this.holding = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  #commit(request: PublishRequest, events: readonly unknown[]): PublishOutcome {
    const all = events.map((event, index) => this.#judge(event as Record<string, unknown>, index));
    return {
      kind: "committed",
      totalEvents: all.length,
      failedEvents: all.filter((each) => isDeadLetter(each.verdict)).length,
      results: request.allResults ? all : all.filter((each) => each.verdict !== ACCEPTED),
      receipt: `0:${this.requests.length}`,
    };
  }

  #judge(event: Record<string, unknown>, index: number): EventResult {
    const eventId = String(event["eventId"]);
    if (event["verdict"] === "late") return { index, eventId, verdict: verdictOf("WEIR_EVENT_LATE") };
    if (event["verdict"] === "type") {
      return { index, eventId, verdict: verdictOf("WEIR_EVENT_FIELD_TYPE"), path: "source" };
    }
    if (this.#seen.has(eventId)) return { index, eventId, verdict: DUPLICATE };
    this.#seen.add(eventId);
    return { index, eventId, verdict: ACCEPTED };
  }
}

function eventsOf(format: number, bytes: Uint8Array): readonly unknown[] {
  const text = () => Buffer.from(bytes).toString();
  if (format === FRAME_FORMATS.ndjson)
    return text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  const value: unknown = format === FRAME_FORMATS.msgpack ? decode(bytes) : JSON.parse(text());
  if (Array.isArray(value)) return value;
  if (typeof value === "object" && value !== null && "events" in value && Array.isArray(value.events)) return value.events;
  return [value];
}

export class FakeChannels implements Channels {
  readonly log: string[] = [];
  refuses = false;
  /** While set, openings wait for `openNow`. */
  slow = false;
  readonly #waiting: (() => void)[] = [];
  #handler: (topic: string, frame: Uint8Array) => void = () => {};
  #seq = 7;

  open(address: ChannelAddress, since: { epoch: string; seq: number } | undefined, opened: (opening: ChannelOpening) => void) {
    this.log.push(`open ${topicOf(address)}`);
    const opening = this.#opening(address, since);
    if (this.slow) this.#waiting.push(() => opened(opening));
    else setImmediate(() => opened(opening));
  }

  openNow(): void {
    for (const each of this.#waiting.splice(0)) each();
  }

  close(address: ChannelAddress): void {
    this.log.push(`close ${topicOf(address)}`);
  }

  onDelta(handler: (topic: string, frame: Uint8Array) => void): void {
    this.#handler = handler;
  }

  delta(address: ChannelAddress, padding?: string): void {
    const channel = `${address.metric}@${address.window}`;
    const frame = { t: "delta", channel, every: address.everyMs, seq: ++this.#seq };
    this.#handler(topicOf(address), encode(padding === undefined ? frame : { ...frame, padding }));
  }

  get #opened(): { epoch: string; seq: number } {
    return { epoch: "e1", seq: this.#seq };
  }

  #opening(address: ChannelAddress, since: { epoch: string; seq: number } | undefined): ChannelOpening {
    if (this.refuses) return { kind: "refused", code: "WEIR_SUBSCRIPTION_LIMIT" };
    if (since?.epoch === "e1") {
      return {
        kind: "resumed",
        epoch: "e1",
        seq: since.seq,
        deltas: [encode({ t: "delta", channel: address.metric, seq: since.seq + 1 })],
      };
    }
    return { kind: "snapshot", ...this.#opened, window: { fromMs: 0, toMs: 60_000 }, rows: [{ count: 3 }] };
  }
}

const ledger = { received: 5, accepted: 2, duplicate: 1, late: 1, invalid: 1 };

export function hostStatus(state: HostStatus["state"]): HostStatus {
  return {
    host: 0,
    state,
    partitions: 16,
    watermarkMs: null,
    appendedOffset: 5,
    durableOffset: 4,
    snapshotOffset: 3,
    mailboxFrames: 2,
    mailboxBytes: 100,
    sessionsResident: 1,
    seriesPanes: 1,
    tenantStates: [{ tenant: "demo", bytes: { ids: 1, sessions: 2, panes: 3, metrics: 4, letters: 5 } }],
    evictions: { texts: 1, ids: 2, series: 4, values: 5 },
    recovery: { openMs: 1, restoreMs: 1, readMs: 1, applyMs: 1, collectMs: 1 },
    heapBytes: 1,
    heapCommittedBytes: 1,
    externalBytes: 1,
    rememberedIds: 1,
    channels: 1,
    journalBytes: 1,
    snapshotMs: 1,
    overflowedEvents: 0,
    ...ledger,
    stages: { decode: { totalMs: 1_500, count: 3, longestMs: 700 } },
  };
}

function fakeLiveData(defined: string[][]): LiveData {
  return {
    query: async () => [],
    session: async (_tenant, sessionId) =>
      sessionId !== "s/1"
        ? undefined
        : {
            sessionId,
            userId: null,
            events: 1,
            firstEventTimeMs: 1,
            lastEventTimeMs: 1,
            durationMs: 0,
            open: true,
            eventTypes: { view: 1 },
            segments: [],
          },
    deadLetters: async (_tenant, { limit, code }) => [
      { host: 0, offset: limit, index: 0, code: code ?? "WEIR_EVENT_LATE", path: null, eventId: "e", ingestTimeMs: 1, raw: "{}" },
    ],
    ledger: async () => ledger,
    define: async (_tenant, definitions) => void defined.push(definitions.map((each) => each.name)),
    clock: async () => ({ watermarkMs: 0, watermarkIngestMs: 0 }),
  };
}

export function fakeQueryService(): QueryService {
  return {
    async query(_tenant, request) {
      if (request.metrics.includes("nope")) throw new WeirError("WEIR_METRIC_UNKNOWN", undefined, { path: "metrics[0]" });
      const metadata = {
        totalRows: 1,
        executionTime: 1,
        dataFreshness: 0,
        queryId: "q",
        dataSource: "live" as const,
        cacheHit: false,
        queryComplexity: 1,
        bounds: {},
        truncated: false,
      };
      return { data: [{ time: "1970-01-01T00:00:00.000Z", request }], metadata };
    },
    realtime: async (_tenant, names, window) => ({
      metrics: names.map((name) => ({ name, value: window, timestamp: 1 })),
      unknown: [],
      timestamp: 1,
    }),
  };
}

const exportJobs: ExportJobs = {
  start: async () => ({ id: "x1", status: "running", rows: 0, bytes: 0 }),
  status: async (_tenant, id) => (id === "x1" ? { id, status: "done", rows: 2, bytes: 10, file: "x1.ndjson" } : undefined),
};

export interface Fixture {
  readonly gateway: Gateway;
  readonly port: number;
  readonly url: string;
  readonly control: FakeControl;
  readonly publisher: FakePublisher;
  readonly channels: FakeChannels;
  /** The names that each `define` call had. */
  readonly defined: string[][];
  readonly logLines: string[];
  health: { hosts: readonly HostStatus[]; warehouse: WarehouseState };
  metricsText(): Promise<string>;
  request(path: string, init?: RequestInit & { key?: string }): Promise<Response>;
  connect(key?: string): Promise<TestSocket>;
}

export async function startGateway(
  t: TestContext,
  options: {
    limits?: Partial<GatewayLimits>;
    queryService?: QueryService;
    drainTimeoutMs?: number;
    port?: number;
    tlsCheckEveryMs?: number;
    allowedOrigins?: readonly string[];
    config?: Partial<GatewayConfig>;
  } = {},
): Promise<Fixture> {
  const control = new FakeControl();
  const publisher = new FakePublisher();
  const channels = new FakeChannels();
  const defined: string[][] = [];
  const logLines: string[] = [];
  const health: Fixture["health"] = { hosts: [hostStatus("running")], warehouse: "ready" };
  const metrics = new GatewayMetrics({
    version: "0.0.0",
    observe: () => ({
      hosts: health.hosts,
      state: { full: 2, nearlyFull: 3, framesLetThrough: 7 },
      warehouse: {
        state: health.warehouse,
        rowsWritten: 7,
        rowsRefused: 0,
        requestsFailed: 1,
        hosts: [{ host: 0, offset: 2, lagRecords: 2 }],
      },
    }),
    processMetrics: false,
  });
  const gatewayOptions: GatewayOptions = {
    config: {
      host: "127.0.0.1",
      port: options.port ?? 0,
      drainTimeoutMs: options.drainTimeoutMs ?? 5_000,
      allowedOrigins: options.allowedOrigins ?? [],
      ...options.config,
    },
    control,
    publisher,
    channels,
    liveData: fakeLiveData(defined),
    describeMetric: (definition) => ({ outputs: [...definition.aggregates], bounds: {} }),
    queryService: options.queryService ?? fakeQueryService(),
    exportJobs,
    receipts: new Receipts(new Uint8Array(16)),
    receiptChecker: { check: async () => ({ result: "forged" }) },
    auditor: { audit: async () => auditReport([], []) },
    metrics,
    log: createLog({ level: "debug", destination: { write: (line) => void logLines.push(line) } }),
    version: "0.0.0",
    now: () => Date.now(),
    readiness: () => health,
    limits: options.limits ?? {},
    ...(options.tlsCheckEveryMs !== undefined && { tlsCheckEveryMs: options.tlsCheckEveryMs }),
  };
  const gateway = createGateway(gatewayOptions);
  const sockets: TestSocket[] = [];
  t.after(() => {
    for (const socket of sockets) socket.terminate();
    gateway.close();
  });
  const port = await gateway.listen();
  const url = `http://127.0.0.1:${port}`;
  return {
    gateway,
    port,
    url,
    control,
    publisher,
    channels,
    defined,
    logLines,
    health,
    metricsText: async () => (await fetch(`${url}/metrics`)).text(),
    request(path, { key, ...init } = {}) {
      const headers = new Headers(init.headers);
      if (key !== undefined) headers.set("Authorization", `Bearer ${key}`);
      return fetch(url + path, { ...init, headers });
    },
    async connect(key) {
      const socket = new TestSocket(`ws://127.0.0.1:${port}/v1/stream`, key);
      sockets.push(socket);
      await socket.opened;
      return socket;
    },
  };
}

export type Frame = Readonly<Record<string, unknown>>;

/** A client that keeps frames until a test asks for them, in order. */
export class TestSocket {
  readonly #socket: WebSocket;
  readonly #frames: Frame[] = [];
  readonly opened: Promise<unknown>;
  readonly closed: Promise<{ code: number; reason: string }>;

  constructor(url: string, key: string | undefined) {
    this.#socket = new WebSocket(url, key === undefined ? {} : { headers: { Authorization: `Bearer ${key}` } });
    this.opened = once(this.#socket, "open");
    this.closed = new Promise((resolve) => {
      this.#socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.#socket.on("error", () => undefined);
    this.#socket.on("message", (data: Buffer) => {
      this.#frames.push(decode(data) as Frame);
    });
  }

  send(frame: object): void {
    this.#socket.send(encode(frame));
  }

  sendRaw(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  async next(): Promise<Frame> {
    await until(() => this.#frames.length > 0);
    return this.#frames.shift() ?? {};
  }

  /** Sends and takes the next frame as its answer. */
  ask(frame: object): Promise<Frame> {
    this.send(frame);
    return this.next();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.close();
  }

  terminate(): void {
    this.#socket.terminate();
  }
}

const PATIENCE_MS = 10_000;

/** Resolves when the condition holds; gives up when it never will. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const startMs = performance.now();
  while (!(await condition())) {
    if (performance.now() - startMs > PATIENCE_MS) throw new Error(`never came true: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
