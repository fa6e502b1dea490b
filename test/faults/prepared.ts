/**
 * Two data directories for faults at rest, written once by a real server:
 *
 *   replayed   killed without a snapshot: all of its state is in the journal
 *   drained    ended in order: all of its state is in the partitions' stores
 *
 * Both have rows that wait for a QuestDB which never came, so that nothing is trimmed. The books say what must be in them.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOUR_MS } from "../../protocol/windows.ts";
import type { Books } from "../crash/books.ts";
import { answersOf, type Answers } from "./answers.ts";
import { PATIENCE_MS, World } from "./world.ts";

const EVENTS = 1_500;
const NOWHERE = "http://127.0.0.1:1";

export interface Prepared {
  readonly path: string;
  readonly books: Books;
  /** What the server answered when everything was there. */
  readonly answers: Answers;
  readonly key: string;
}

export type PreparedKind = "replayed" | "drained";

const made = new Map<PreparedKind, Promise<Prepared>>();

/** The same one each time: copy it. It is removed when this process ends. */
export function prepared(kind: PreparedKind, seed: number): Promise<Prepared> {
  const known = made.get(kind) ?? make(kind, seed);
  made.set(kind, known);
  return known;
}

async function make(kind: PreparedKind, seed: number): Promise<Prepared> {
  const snapshotEveryMs = kind === "replayed" ? HOUR_MS : 300;
  const flags = { partitions: 2, hostThreads: 0, questdb: NOWHERE, snapshotEveryMs, drainTimeoutMs: 200 };
  const world = await World.create({ seed, flags });
  try {
    await world.begin();
    await world.progress(EVENTS);
    await world.quiet();
    // Before any question: one for dead letters takes a snapshot.
    await world.halt(kind === "replayed" ? "SIGKILL" : "SIGTERM");
    const path = join(mkdtempSync(join(tmpdir(), "weir-at-rest-")), "data");
    process.once("exit", () => rmSync(join(path, ".."), { recursive: true, force: true }));
    cpSync(world.server.data, path, { recursive: true });
    world.launch();
    await world.server.untilReady(PATIENCE_MS);
    await world.compareLive("as prepared");
    const answers = await answersOf(world.client, world.books);
    if (world.problems.length > 0) throw new Error(world.problems.join("\n"));
    return { path, books: world.books, answers, key: world.key };
  } finally {
    await world.close();
  }
}
