/**
 * A data directory as a killed server of one format version left it, byte for byte, and what it has to answer: what the next
 * version must be able to open. `scripts/write-format-fixture.mjs` writes one; `test/acceptance/format.test.ts` opens them.
 * One gzipped JSON: files as base64 (LMDB's lock files and the lock of the server are of no process any more), and answers.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { connect, type WeirClient } from "../../client/index.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { DATA_FORMAT } from "../../storage/data-directory.ts";
import { wireEvent } from "../workers/frame-fixture.ts";
import { FIRST_MS, LAST_MS, mixedBodies, send } from "./mixed-events.ts";
import { projectRoot } from "./project.ts";
import { ServerProcess } from "./server-process.ts";

export const FIXTURE_TENANT = "shop";
export const FIXTURE_FLAGS = { hostThreads: 2, partitions: 3, snapshotEveryMs: 3_600_000 };
const SESSIONS = ["s0", "s1", "s7", "tail"];
/** Ids that were counted; in the snapshots, and behind them. */
export const FIXTURE_IDS: readonly (readonly [eventId: string, sessionId: string])[] = [
  ["a-0-0", "s0"],
  ["a-11-59", "s11"],
  ["tail-3", "tail"],
];

export interface FormatFixture {
  readonly format: number;
  readonly key: string;
  readonly answers: unknown;
  readonly files: Readonly<Record<string, string>>;
}

export function fixturePath(format: number): string {
  return join(projectRoot, "test", "data", `format-${format}.json.gz`);
}

export function readFixture(format: number): FormatFixture {
  return JSON.parse(gunzipSync(readFileSync(fixturePath(format))).toString()) as FormatFixture;
}

export function unpackFixture({ files }: FormatFixture, folder: string): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), Buffer.from(content, "base64"));
  }
}

/** Everything that the directory knows, as clients are told. */
export async function answersOf(client: WeirClient): Promise<unknown> {
  const timeRange = { from: FIRST_MS - DAY_MS, to: LAST_MS + DAY_MS };
  const ask = async (metrics: string[], granularity: "1h" | "1d" | "all", dimensions: string[] = []) =>
    (await client.query({ metrics, dimensions, timeRange, granularity, source: "live" })).data;
  return {
    ...(await client.deadLetters({ limit: 1_000 })),
    events: await ask(["events"], "1h"),
    users: await ask(["active_users", "active_sessions"], "all"),
    values: await ask(["value_by_type.sum", "value_by_type.p50", "value_by_type.count"], "1d", ["eventType"]),
    bySource: await ask(["by_source"], "all", ["source"]),
    laterMetric: await ask(["later"], "all"),
    sessions: await Promise.all(SESSIONS.map((id) => client.session(id))),
    catalog: (await client.catalog()).map(({ name }) => name),
  };
}

/** Bodies of the part that only the journal has when the server is killed. */
function tailBody(): string {
  const events = Array.from({ length: 5 }, (_, index) => ({
    ...wireEvent({ id: `tail-${index}`, sessionId: "tail", timeMs: LAST_MS + index * 1_000, source: "tail" }),
    userId: `u${index}`,
    properties: { value: index + 0.5 },
  }));
  const late = wireEvent({ id: "tail-late", sessionId: "tail", timeMs: FIRST_MS });
  return JSON.stringify([...events, events[0], late, { eventId: "tail-bad", sessionId: "tail" }]);
}

export async function writeFormatFixture(): Promise<string> {
  const server = await ServerProcess.create(FIXTURE_FLAGS);
  try {
    const key = await server.newKey(FIXTURE_TENANT);
    await server.start();
    const client = connect({ url: server.url, key });
    await client.defineMetric({ name: "by_source", aggregates: ["count"], dimensions: ["source"] });
    await send(server.url, key, mixedBodies("a").bodies);
    // It snapshots.
    await client.audit();
    await client.defineMetric({ name: "later", aggregates: ["count"] });
    await send(server.url, key, [tailBody()]);
    await server.stop("SIGKILL");
    const files = filesOf(server.data);
    await server.start();
    const answers = await answersOf(client);
    await client.close({ timeoutMs: 0 });
    const fixture: FormatFixture = { format: DATA_FORMAT, key, answers, files };
    const path = fixturePath(DATA_FORMAT);
    writeFileSync(path, gzipSync(JSON.stringify(fixture), { level: 9 }));
    return path;
  } finally {
    await server.end();
  }
}

function filesOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (each) => each.isFile() && each.name !== "lock.mdb" && each.name !== "LOCK",
  );
  const paths = files.map((each) => join(each.parentPath, each.name)).toSorted();
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path).toString("base64")]));
}
