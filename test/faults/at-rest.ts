/**
 * Files that were damaged while no server ran: the next start refuses them with a code, or the damage does no harm. LMDB has no
 * checksums, so this is measured: many flips of one bit at random places, and files cut short; each on a fresh copy, with a real
 * server that is started on it and asked for every event.
 */
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { randomFrom } from "../../bench/workload.ts";
import { connect } from "../../client/index.ts";
import { compareCells, ledgerProblems } from "../crash/verify.ts";
import { ServerProcess } from "../support/server-process.ts";
import { answersOf, differences, recordHashes } from "./answers.ts";
import { bitFlip, bitFlipNear, cutBy, cutTo, type Damage } from "./damage.ts";
import type { Fault, FaultContext, Finding } from "./fault.ts";
import { prepared, type Prepared, type PreparedKind } from "./prepared.ts";

const START_MS = 60_000;
const PAGE_BYTES = 4096;

/**
 * What became of a start, from best to worst:
 *   harmless   every answer is right
 *   refused    it does not start, and says why with a code
 *   told       it starts; what is missing is in the log, the dead letters or the answer's error
 *   crashed    it ends without a code
 *   wrong      an answer is wrong and nothing says so
 */
const outcomes = ["harmless", "refused", "told", "crashed", "wrong"] as const;
type Outcome = (typeof outcomes)[number];

interface AtRest {
  readonly name: string;
  readonly file: string;
  readonly directory: PreparedKind;
  /** Flips in events only, not anywhere. */
  readonly inEvents?: boolean;
  /** Outcomes that are known to happen, as docs/operations.md says. */
  readonly known?: readonly Outcome[];
}

const files: readonly AtRest[] = [
  { name: "journal", file: "hosts/00/data.mdb", directory: "replayed" },
  { name: "journal-events", file: "hosts/00/data.mdb", directory: "replayed", inEvents: true },
  { name: "partition", file: "partitions/000/data.mdb", directory: "drained" },
  { name: "metrics", file: "metrics/00/data.mdb", directory: "drained" },
  { name: "control", file: "control/data.mdb", directory: "drained" },
  { name: "identity", file: "weir.json", directory: "drained" },
];

function faultOf(target: AtRest): Fault {
  const where = target.inEvents === true ? `events in ${target.file}` : target.file;
  return {
    name: `rest-${target.name}`,
    fault: `at rest: bit flips in ${where}${target.inEvents === true ? "" : ", cut short"}`,
    expected: "refused with a code, or harmless",
    run: (context) => tryAll(target, context),
  };
}

async function tryAll(target: AtRest, { seed, tries, progress }: FaultContext): Promise<Finding> {
  const random = randomFrom(seed);
  const source = await prepared(target.directory, seed);
  const flips = Array.from({ length: tries }, () => {
    return target.inEvents === true ? bitFlipNear("numbered", 150, random) : bitFlip(random);
  });
  const cuts = target.inEvents === true ? [] : [cutTo(0), cutTo(0.5), cutBy(PAGE_BYTES)];
  const counts = { harmless: 0, refused: 0, told: 0, crashed: 0, wrong: 0 };
  const problems: string[] = [];
  const gaps: string[] = [];
  let [lost, doubled] = [0, 0];
  for (const damage of [...flips, ...(target.file.endsWith(".mdb") ? cuts : [])]) {
    const seen = await tryOne(target, damage, source);
    counts[seen.outcome]++;
    progress(`${damage.what}: ${seen.outcome}${seen.detail === "" ? "" : ` (${seen.detail})`}`);
    if (seen.outcome !== "crashed" && seen.outcome !== "wrong") continue;
    (target.known?.includes(seen.outcome) === true ? gaps : problems).push(`${damage.what}: ${seen.outcome}: ${seen.detail}`);
    lost += seen.lost;
    doubled += seen.doubled;
  }
  const reaction = outcomes.map((outcome) => `${outcome} ${counts[outcome]}`).join(", ");
  return { reaction, acked: source.books.count, lost, doubled, gaps, problems };
}

interface Seen {
  readonly outcome: Outcome;
  readonly detail: string;
  readonly lost: number;
  readonly doubled: number;
}

const seen = (outcome: Outcome, detail = ""): Seen => ({ outcome, detail, lost: 0, doubled: 0 });

async function tryOne({ file }: AtRest, damage: Damage, source: Prepared): Promise<Seen> {
  const server = await ServerProcess.create({ partitions: 2, hostThreads: 0, logLevel: "warn" });
  try {
    cpSync(source.path, server.data, { recursive: true });
    damage.apply(join(server.data, file));
    server.launch();
    const ready = await server.untilReady(START_MS).then(
      () => true,
      () => false,
    );
    const { child, output } = server.run;
    if (ready) return await ask(server, source);
    if (child.exitCode === null && child.signalCode === null) return seen("crashed", `no end: ${output.stderr.slice(-300)}`);
    const code = /WEIR_[A-Z_]+/.exec(output.stderr)?.[0];
    if (child.exitCode !== null && code !== undefined) return seen("refused", code);
    return seen("crashed", `${child.signalCode ?? child.exitCode}: ${output.stderr.slice(0, 500)}`);
  } finally {
    await server.end();
  }
}

async function ask(server: ServerProcess, { path, books, key, answers }: Prepared): Promise<Seen> {
  const client = connect({ url: server.url, key, complete: false, retry: { giveUpAfterMs: 5_000 } });
  try {
    const problems = await ledgerProblems(client, books);
    const { lost, doubled, unsent } = await compareCells(client, books, "live", { from: 0, to: books.sentCount });
    const different = differences(answers, await answersOf(client, books));
    await server.stop("SIGKILL");
    const records = differentRecords(path, server.data);
    const told = /"level":(50|60)[^\n]*/.exec(server.run.output.stderr)?.[0] ?? setAside(server);
    const counts = [lost, doubled, unsent, problems, different].reduce((sum, list) => sum + list.length, records);
    if (counts === 0) return seen("harmless");
    if (told !== undefined) return seen("told", told.slice(0, 200));
    const detail = [
      `${lost.length} lost, ${doubled.length} doubled, ${unsent.length} unsent`,
      `different: ${different.join()}, ${records} journal records`,
      ...problems,
    ].join("; ");
    return { outcome: "wrong", detail, lost: lost.length, doubled: doubled.length };
  } catch (error) {
    const { exitCode, signalCode } = server.run.child;
    if (signalCode !== null) return seen("crashed", signalCode);
    return seen("told", `${exitCode === null ? "" : `exit ${exitCode}, `}${String(error).slice(0, 200)}`);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

/** How many records of the journal are not what they were. Only of a journal that a server has just read. */
function differentRecords(before: string, after: string): number {
  const [known, found] = [before, after].map((data) => recordHashes(join(data, "hosts", "00")));
  return (known ?? []).filter((hash, index) => hash !== found?.[index]).length;
}

/** Records that the replay had to leave out. */
function setAside({ data }: ServerProcess): string | undefined {
  const hosts = readdirSync(join(data, "hosts"));
  return hosts.some((host) => existsSync(join(data, "hosts", host, "skipped.json"))) ? "records set aside" : undefined;
}

export const atRest = files.map(faultOf);
