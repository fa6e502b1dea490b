/**
 * What a managed QuestDB needs: a Java runtime and the QuestDB jar, found on the machine or fetched once into a cache.
 * Whatever way the jar comes, it is used only if its SHA-256 is the one pinned here: no checksum from the place that also
 * serves the jar is trusted. Called once at start by the composition root.
 */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { WeirError } from "../../protocol/error-codes.ts";
import { findJava, installJava } from "./java.ts";
import type { Java } from "./java.ts";
import { run } from "./run.ts";

export const QUESTDB_VERSION = "9.3.4";
const JAR_SHA256 = "939bc53ab22f93dbaa6545143a6e7c536d4904c07b7f2d381e8eef10436be062";
const JAR_NAME = `questdb-${QUESTDB_VERSION}.jar`;
const JAR_FOLDER = `org/questdb/questdb/${QUESTDB_VERSION}`;
const JAR_BYTES_MAX = 64 * 1024 * 1024;
const MAVEN_CENTRAL = "https://repo1.maven.org/maven2";
const FETCH_TIMEOUT_MS = 10 * 60_000;

export interface RuntimeOptions {
  readonly env: NodeJS.ProcessEnv;
  /** The user's home folder: `.m2` is looked for in it. */
  readonly home: string;
  /** A folder of ours for what is fetched. */
  readonly cache: string;
  /** Told, in a sentence, before anything is fetched or installed. */
  readonly progress: (text: string) => void;
  /** The hash that the jar must have; only tests give another one. */
  readonly jarSha256?: string;
}

export interface QuestDbRuntime {
  readonly java: Java;
  readonly jar: string;
}

/** Finds or fetches both. Rejects with WEIR_START_NO_JAVA or WEIR_START_NO_QUESTDB, saying what to do. */
export async function prepareRuntime(options: RuntimeOptions): Promise<QuestDbRuntime> {
  const java = (await findJava(options)) ?? (await installJava(options, options.progress));
  return { java, jar: await findQuestDb(options) };
}

/** Where fetched things lie: `$XDG_CACHE_HOME/weir` when that is set, else `.cache` of the project. */
export function cacheFolder(env: NodeJS.ProcessEnv, project: string): string {
  const base = env["XDG_CACHE_HOME"];
  return base === undefined || base === "" ? join(project, ".cache") : join(base, "weir");
}

/** The path of a jar whose bytes are the pinned ones. */
export async function findQuestDb(options: RuntimeOptions): Promise<string> {
  const sha256 = options.jarSha256 ?? JAR_SHA256;
  const named = options.env["WEIR_QUESTDB_JAR"];
  if (named !== undefined && named !== "") {
    if (await hasHash(named, sha256)) return named;
    throw new WeirError("WEIR_START_NO_QUESTDB", `WEIR_QUESTDB_JAR names ${named}, which is not QuestDB ${QUESTDB_VERSION}.`);
  }
  const cached = join(options.cache, JAR_NAME);
  for (const jar of [join(options.home, ".m2/repository", JAR_FOLDER, JAR_NAME), cached]) {
    if (await hasHash(jar, sha256)) return jar;
  }
  await mkdir(options.cache, { recursive: true });
  const folder = await mkdtemp(join(options.cache, "questdb-"));
  try {
    const reasons: string[] = [];
    for (const fetchJar of [fetchWithMaven, fetchOverHttps]) {
      const jar = join(folder, JAR_NAME);
      const failure = await fetchJar(jar, options);
      if (failure === undefined && (await hasHash(jar, sha256))) {
        await rename(jar, cached);
        return cached;
      }
      reasons.push(failure ?? "what came is not the expected file (SHA-256 differs)");
    }
    throw new WeirError(
      "WEIR_START_NO_QUESTDB",
      `Put ${JAR_NAME} anywhere and name it by WEIR_QUESTDB_JAR, or name a Maven repository by WEIR_MAVEN_URL. ` +
        `Tried: ${reasons.join("; ")}.`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function hasHash(file: string, sha256: string): Promise<boolean> {
  if (!existsSync(file)) return false;
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  } catch {
    return false;
  }
  return hash.digest("hex") === sha256;
}

/** Why it did not work, or undefined when the file is there. */
type JarFetcher = (jar: string, options: RuntimeOptions) => Promise<string | undefined>;

const fetchWithMaven: JarFetcher = async (jar, { env, progress }) => {
  const onPath = (env["PATH"] ?? "").split(delimiter).some((folder) => folder !== "" && existsSync(join(folder, "mvn")));
  if (!onPath) return "mvn is not on the PATH";
  progress(`Fetching QuestDB ${QUESTDB_VERSION} (30 MB) with Maven`);
  const artifact = `-Dartifact=org.questdb:questdb:${QUESTDB_VERSION}:jar`;
  const args = ["-q", "-B", "dependency:copy", artifact, `-DoutputDirectory=${dirname(jar)}`];
  const outcome = await run("mvn", args, { env, timeoutMs: FETCH_TIMEOUT_MS });
  return outcome.ok ? undefined : `mvn: ${outcome.output.trim().split("\n")[0] ?? ""}`;
};

const fetchOverHttps: JarFetcher = async (jar, options) => {
  const url = `${await mavenUrl(options)}/${JAR_FOLDER}/${JAR_NAME}`;
  options.progress(`Fetching ${url} (30 MB)`);
  const { EnvHttpProxyAgent, fetch } = await import("undici");
  const dispatcher = new EnvHttpProxyAgent(proxiesOf(options.env));
  try {
    const response = await fetch(url, { dispatcher, signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!response.ok || response.body === null) return `${url} answered ${response.status}`;
    return await writeBody(response.body, jar);
  } catch (error) {
    return `${url}: ${reasonOf(error)}`;
  } finally {
    await dispatcher.destroy();
  }
};

async function writeBody(body: AsyncIterable<Uint8Array>, file: string): Promise<string | undefined> {
  const handle = await open(file, "w");
  try {
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > JAR_BYTES_MAX) return "the answer is larger than any QuestDB jar";
      await handle.writeFile(chunk);
    }
    await handle.sync();
    return undefined;
  } finally {
    await handle.close();
  }
}

function proxiesOf(env: NodeJS.ProcessEnv): { httpProxy?: string; httpsProxy?: string; noProxy?: string } {
  const httpProxy = env["http_proxy"] ?? env["HTTP_PROXY"];
  const httpsProxy = env["https_proxy"] ?? env["HTTPS_PROXY"];
  const noProxy = env["no_proxy"] ?? env["NO_PROXY"];
  return {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
}

/** Network errors say "fetch failed" and keep the reason in their cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message || String(error.cause) : error.message;
}

async function mavenUrl({ env, home }: RuntimeOptions): Promise<string> {
  const named = env["WEIR_MAVEN_URL"];
  const url = named !== undefined && named !== "" ? named : ((await mirrorUrl(home)) ?? MAVEN_CENTRAL);
  return url.replace(/\/+$/, "");
}

/** The first mirror of `~/.m2/settings.xml` that stands in for Maven Central. */
async function mirrorUrl(home: string): Promise<string | undefined> {
  const file = join(home, ".m2/settings.xml");
  if (!existsSync(file)) return undefined;
  const xml = (await readFile(file, "utf8")).replace(/<!--.*?-->/gs, "");
  for (const [, mirror = ""] of xml.matchAll(/<mirror>(.*?)<\/mirror>/gs)) {
    const of = (/<mirrorOf>\s*(.*?)\s*<\/mirrorOf>/s.exec(mirror)?.[1] ?? "").split(",").map((each) => each.trim());
    const url = /<url>\s*(.*?)\s*<\/url>/s.exec(mirror)?.[1];
    const standsIn = ["central", "*", "external:*"].some((name) => of.includes(name)) && !of.includes("!central");
    if (url !== undefined && standsIn) return url.replaceAll("&amp;", "&");
  }
  return undefined;
}
