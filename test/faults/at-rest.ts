/**
 * Files that were damaged while no server ran: the next start refuses them with a code, or the damage does no harm. LMDB has no
 * checksums, so this is measured: many flips of one bit at random places, and files cut short; each on a fresh copy, with a real
 * server that is started on it and asked for every event.
 */
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { randomFrom } from "../../bench/workload.ts";
import { connect, type WeirClient } from "../../client/index.ts";
import type { Books } from "../crash/books.ts";
import { compareCells, ledgerProblems } from "../crash/verify.ts";
import { ServerProcess } from "../support/server-process.ts";
import { answersOf, differences, recordHashes } from "./answers.ts";
import { bitFlip, bitFlipNear, cutBy, cutTo, versionFlip, type Damage } from "./damage.ts";
import type { Fault, FaultContext, Finding } from "./fault.ts";
import { prepared, type Prepared, type PreparedKind } from "./prepared.ts";
import { TENANT } from "./world.ts";

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
  /** Where bits are flipped: anywhere, in events, or in the versions of records. */
  readonly flips: "anywhere" | "events" | "versions";
  /** Outcomes that are known to happen, as docs/operations.md says. */
  readonly known?: readonly Outcome[];
}

const journal = "hosts/00/data.mdb";
const files: readonly AtRest[] = [
  { name: "journal", file: journal, directory: "replayed", flips: "anywhere", known: ["wrong", "crashed"] },
  { name: "journal-events", file: journal, directory: "replayed", flips: "events", known: ["wrong"] },
  { name: "journal-versions", file: journal, directory: "replayed", flips: "versions" },
  { name: "partition", file: "partitions/000/data.mdb", directory: "drained", flips: "anywhere", known: ["wrong", "crashed"] },
  { name: "metrics", file: "metrics/00/data.mdb", directory: "drained", flips: "anywhere", known: ["crashed"] },
  { name: "control", file: "control/data.mdb", directory: "drained", flips: "anywhere", known: ["wrong", "crashed"] },
  { name: "identity", file: "weir.json", directory: "drained", flips: "anywhere" },
];

function faultOf(target: AtRest): Fault {
  const where = target.flips === "anywhere" ? target.file : `${target.flips} in ${target.file}`;
  return {
    name: `rest-${target.name}`,
    fault: `at rest: bit flips in ${where}${hasCuts(target) ? ", cut short" : ""}`,
    expected: "refused with a code, or harmless",
    run: (context) => tryAll(target, context),
  };
}

function hasCuts({ file, flips }: AtRest): boolean {
  return flips === "anywhere" && file.endsWith(".mdb");
}

function flipOf({ flips }: AtRest, random: () => number): Damage {
  if (flips === "anywhere") return bitFlip(random);
  return flips === "events" ? bitFlipNear("numbered", 150, random) : versionFlip(TENANT, random);
}

async function tryAll(target: AtRest, { seed, tries, progress }: FaultContext): Promise<Finding> {
  const random = randomFrom(seed);
  const source = await prepared(target.directory, seed);
  const flips = Array.from({ length: tries }, () => flipOf(target, random));
  const cuts = hasCuts(target) ? [cutTo(0), cutTo(0.5), ...(tries > 0 ? [cutBy(PAGE_BYTES)] : [])] : [];
  const counts = { harmless: 0, refused: 0, told: 0, crashed: 0, wrong: 0 };
  const problems: string[] = [];
  const gaps: string[] = [];
  let [lost, doubled] = [0, 0];
  for (const damage of [...flips, ...cuts]) {
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
    const again = await countedAgain(client, books);
    await server.stop("SIGKILL");
    const records = differentRecords(path, server.data);
    const told = /"level":(50|60)[^\n]*/.exec(server.run.output.stderr)?.[0] ?? setAside(server);
    const counts = [lost, doubled, unsent, problems, different].reduce((sum, list) => sum + list.length, records + again);
    if (counts === 0) return seen("harmless");
    if (told !== undefined) return seen("told", told.slice(0, 200));
    const detail = [
      `${lost.length} lost, ${doubled.length} doubled, ${unsent.length} unsent`,
      `different: ${different.join()}, ${records} journal records, ${again} counted again`,
      ...problems,
    ].join("; ");
    return { outcome: "wrong", detail, lost: lost.length, doubled: doubled.length + again };
  } catch (error) {
    const { exitCode, signalCode } = server.run.child;
    if (signalCode !== null) return seen("crashed", signalCode);
    return seen("told", `${exitCode === null ? "" : `exit ${exitCode}, `}${String(error).slice(0, 200)}`);
  } finally {
    await client.close({ timeoutMs: 0 });
  }
}

/** How many events are counted once more when all of them are sent again. */
async function countedAgain(client: WeirClient, books: Books): Promise<number> {
  const numbers = Array.from({ length: books.sentCount }, (_, n) => n);
  const { results } = await client.publish(numbers.map((n) => books.event(n)));
  return numbers.length - results.filter(({ duplicate }) => duplicate).length;
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
