/** Where the programs of this machine lie. An argument of all that searches, so that a test can give a machine without any. */
import { accessSync, constants, existsSync, readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";

export interface PeerMachine {
  readonly env: NodeJS.ProcessEnv;
  /** Searched after the PATH: packages of servers put programs where no shell looks. */
  readonly folders: readonly string[];
}

const POSTGRESQL_VERSIONS = "/usr/lib/postgresql";

export function thisMachine(): PeerMachine {
  const versions = existsSync(POSTGRESQL_VERSIONS) ? readdirSync(POSTGRESQL_VERSIONS).map(Number) : [];
  const newestFirst = versions.filter(Number.isFinite).toSorted((left, right) => right - left);
  const postgresql = newestFirst.map((version) => join(POSTGRESQL_VERSIONS, String(version), "bin"));
  return { env: process.env, folders: ["/usr/local/sbin", "/usr/sbin", ...postgresql] };
}

/** Every program of the name, in the order of the PATH. */
export function findPrograms(name: string, { env, folders }: PeerMachine): string[] {
  const searched = [...(env["PATH"] ?? "").split(delimiter), ...folders].filter((folder) => folder !== "");
  return [...new Set(searched.map((folder) => join(folder, name)))].filter(isProgram);
}

export function findProgram(name: string, machine: PeerMachine): string | undefined {
  return findPrograms(name, machine)[0];
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** For `start`, after `missing` has found nothing missing. */
export function programOf(name: string, machine: PeerMachine): string {
  const program = findProgram(name, machine);
  if (program === undefined) throw new Error(`${name} is gone`);
  return program;
}
