/**
 * The server that is killed: `weir serve` in a process of its own, armed before it starts where a point has a name, with a
 * QuestDB of its own where one is wanted. Says how each run ended, and which lines of its log must not be there.
 */
import { readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { DAY_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { serverOptions } from "../storage/questdb/support/managed-questdb.ts";
import { eventually } from "../support/real-server.ts";
import { freePort, ServerProcess, type Exit, type Flags } from "../support/server-process.ts";
import { isCrashPoint, type Kill } from "./kill-plan.ts";

const arm = new URL("arm.js", import.meta.url);
/** Lines of the log that no kill excuses. */
const faults = [
  "partition host failed",
  "partition host stopped",
  "row refused by the warehouse",
  "warehouse writer failed",
  "warehouse writer is started again",
];

/** Often what is rare in production: snapshots, trimming, panes that age, rows that leave. */
const flags: Flags = {
  partitions: 4,
  snapshotEveryMs: 300,
  partialEveryMs: 50,
  journalRetentionMs: 0,
  paneFineRetentionMs: MINUTE_MS,
  paneMinuteRetentionMs: 60 * DAY_MS,
  paneRetentionMs: 60 * DAY_MS,
  warehouseFlushMs: 50,
  warehouseFlushRows: 200,
};

export class Subject {
  readonly server: ServerProcess;
  readonly questdbUrl: string | undefined;

  private constructor(server: ServerProcess, questdbUrl: string | undefined) {
    this.server = server;
    this.questdbUrl = questdbUrl;
  }

  static async create({ questdb }: { questdb: boolean }): Promise<Subject> {
    if (!questdb) return new Subject(await ServerProcess.create({ ...flags, questdb: "off" }), undefined);
    const [questdbHttpPort, questdbPgPort] = [await freePort(), await freePort()];
    const { java, jar } = await serverOptions("");
    const managed = { questdb: "managed", questdbHttpPort, questdbPgPort, questdbJar: jar };
    const env = { PATH: [dirname(java), process.env["PATH"]].join(delimiter) };
    return new Subject(await ServerProcess.create({ ...flags, ...managed }, env), `http://127.0.0.1:${questdbHttpPort}`);
  }

  launch(hostThreads: number, { kind, pass }: Kill): void {
    if (isCrashPoint(kind)) arm.search = `?point=${kind}&pass=${pass}`;
    this.server.launch({ hostThreads, questdb: this.questdb }, isCrashPoint(kind) ? ["--import", arm.href] : []);
  }

  /** Resolves when the run has ended, by whatever means. */
  get exit(): Promise<Exit> {
    return this.server.run.exit;
  }

  get questdb(): "managed" | "off" {
    return this.questdbUrl === undefined ? "off" : "managed";
  }

  get ended(): boolean {
    const { exitCode, signalCode } = this.server.run.child;
    return exitCode !== null || signalCode !== null;
  }

  get faults(): string[] {
    const { stderr } = this.server.run.output;
    return stderr.split("\n").filter((line) => faults.some((fault) => line.includes(fault)));
  }

  async warehouseIsReady(): Promise<boolean> {
    return (await this.server.ready())?.warehouse === "ready";
  }

  /** Ends QuestDB's process as a crash would; false when there is none just now. */
  killQuestDb(): boolean {
    const pid = this.#questdbPid();
    return pid !== undefined && signal(pid, "SIGKILL");
  }

  /** Leaves neither processes nor files. */
  async close(): Promise<void> {
    if (!this.ended) await this.server.stop("SIGKILL");
    const pid = this.#questdbPid();
    if (pid !== undefined) {
      this.killQuestDb();
      await eventually(() => !signal(pid, 0), "QuestDB has ended");
    }
    await this.server.end();
  }

  #questdbPid(): number | undefined {
    try {
      const file = readFileSync(join(this.server.data, "questdb", "questdb-process.json"), "utf8");
      const { pid } = JSON.parse(file) as { pid: number };
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return command.includes(this.server.data) ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
