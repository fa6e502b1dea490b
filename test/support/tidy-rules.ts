/**
 * The rules of style that a linter does not see, as pure functions: a file in, what is wrong with it out.
 * `test/tidy.test.ts` runs them on the tree, and on fixtures that break each of them.
 */
export interface SourceFile {
  /** From the project root, with `/`. */
  readonly path: string;
  readonly text: string;
}

export type Rule = (file: SourceFile) => string[];

/** Which of our folders a folder may import from: design of the layers, docs/architecture.md. */
const layers: Readonly<Record<string, readonly string[]>> = {
  wasm: [],
  protocol: [],
  actors: ["protocol"],
  storage: ["protocol"],
  workers: ["actors", "storage", "protocol"],
  // Actors are pure: the server merges what they wrote, with the code that wrote it.
  server: ["workers", "actors", "storage", "protocol"],
  client: ["protocol"],
  cli: ["client", "server", "protocol"],
};

/** Which packages a folder may import; the longest matching folder decides. `node:` stands for all of Node's modules. */
const packagesByFolder: Readonly<Record<string, readonly string[]>> = {
  wasm: [],
  protocol: ["zod", "msgpackr", "ajv"],
  actors: [],
  storage: ["node:", "msgpackr", "zod"],
  "storage/lmdb": ["node:", "lmdb", "msgpackr"],
  "storage/questdb": ["node:", "@questdb/nodejs-client", "pg", "undici", "zod"],
  workers: ["node:", "piscina", "pino", "prom-client", "msgpackr"],
  server: ["node:", "uWebSockets.js", "zod", "pino", "prom-client", "msgpackr"],
  // It runs in browsers too: nothing of Node.
  client: ["msgpackr", "zod", "undici"],
  cli: ["node:", "commander", "cli-progress", "msgpackr", "zod", "undici"],
};

const CODE_LINES_MAX = 500;
const folderNamesRefused = new Set(["utils", "util", "helpers", "common", "types", "interfaces", "managers"]);
const fileNamesRefused = /^(utils?|helpers?|common|misc|types|interfaces|manager)\.ts$/;
const fileNamePattern = /^[a-z0-9]+(-[a-z0-9]+)*(\.(property|model|crash|integration))?(\.test)?\.(ts|mjs)$/;
const folderNamePattern = /^\.?[a-z0-9]+(-[a-z0-9]+)*$/;

function topFolder(path: string): string {
  return path.split("/")[0] ?? "";
}

function isCode({ path }: SourceFile): boolean {
  return path.endsWith(".ts") || path.endsWith(".mjs");
}

/** What a file imports or re-exports, statically or dynamically. */
export function importsOf(text: string): string[] {
  const pattern = /(?:\bfrom\s+|\bimport\s*\(\s*|^\s*import\s+)"([^"]+)"/gm;
  return [...text.matchAll(pattern)].map(([, specifier]) => specifier ?? "");
}

function resolveImport(path: string, specifier: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

/** Imports between our folders go down the layers only. */
export const importDirection: Rule = (file) => {
  const own = topFolder(file.path);
  const allowed = layers[own];
  if (allowed === undefined || !isCode(file)) return [];
  return importsOf(file.text)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => topFolder(resolveImport(file.path, specifier)))
    .filter((target) => target !== own && !allowed.includes(target))
    .map((target) => `${own}/ must not import ${target}/`);
};

/** Each package has the folders that may know it. */
export const packageToFolder: Rule = (file) => {
  const folder = Object.keys(packagesByFolder)
    .filter((name) => file.path.startsWith(`${name}/`))
    .toSorted((left, right) => right.length - left.length)[0];
  const allowed = folder === undefined ? undefined : packagesByFolder[folder];
  if (allowed === undefined || !isCode(file)) return [];
  return importsOf(file.text)
    .filter((specifier) => !specifier.startsWith("."))
    .filter(
      (specifier) => !allowed.some((name) => specifier === name || specifier.startsWith(name.endsWith(":") ? name : `${name}/`)),
    )
    .map((specifier) => `${folder}/ must not import ${specifier}`);
};

export const fileSize: Rule = (file) => {
  if (!file.path.endsWith(".ts") || file.path.startsWith("test/")) return [];
  const lines = file.text.split("\n").length - 1;
  return lines > CODE_LINES_MAX ? [`${lines} lines, ${CODE_LINES_MAX} are the most: split state from I/O`] : [];
};

const impureCalls: readonly (readonly [what: string, pattern: RegExp])[] = [
  ["Date.now", /\bDate\.now\b/],
  ["new Date()", /\bnew Date\(\s*\)/],
  ["Math.random", /\bMath\.random\b/],
  ["timers", /\bset(Timeout|Interval|Immediate)\b/],
  ["process", /\bprocess\.(?!ed)/],
  ["performance", /\bperformance\./],
  ["crypto randomness", /\b(randomUUID|getRandomValues|randomBytes)\b/],
  ["node: modules", /"node:/],
  ["console", /\bconsole\./],
  ["fetch", /\bfetch\(/],
];

/** Actors get time, ids and randomness as arguments: else a replay would not give the same state. */
export const pureActors: Rule = (file) => {
  if (!file.path.startsWith("actors/")) return [];
  const code = withoutComments(file.text);
  return impureCalls.filter(([, pattern]) => pattern.test(code)).map(([what]) => `actors are pure: no ${what}`);
};

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
}

export const fileNames: Rule = (file) => {
  if (!isCode(file)) return [];
  const parts = file.path.split("/");
  const name = parts.pop() ?? "";
  const problems: string[] = [];
  if (!fileNamePattern.test(name)) problems.push("file names are kebab-case, with the suffix of their test lane");
  if (fileNamesRefused.test(name)) problems.push("name the thing, not its kind");
  for (const folder of parts) {
    if (!folderNamePattern.test(folder)) problems.push(`folder names are kebab-case: ${folder}`);
    if (folderNamesRefused.has(folder)) problems.push(`folders are named after the domain: ${folder}`);
  }
  return problems;
};

/**
 * Words that only make sense on the machine of whoever wrote them, or that tie the project to one package registry.
 * Written in pieces, so that this file does not contain them.
 */
const bannedWords: readonly (readonly [what: string, pattern: RegExp])[] = [
  [
    "an absolute path of a machine",
    new RegExp(`(^|[\\s"'\`(=:])/(${["ro" + "ot", "ho" + "me", "Us" + "ers", "wo" + "rk"].join("|")})/[\\w.]`, "m"),
  ],
  ["a package registry host", new RegExp(`registry\\.(${["npm" + "js", "yarn" + "pkg"].join("|")})\\.`)],
  ["a package registry host", new RegExp(`"resol${"ved"}": "http`)],
  ["a package repository host", new RegExp(`repo1?\\.ma${"ven"}\\.`)],
];

/** The one place that must know where QuestDB comes from; its bytes are pinned there by their hash. */
const hostExceptions: ReadonlySet<string> = new Set(["storage/questdb/runtime.ts"]);

export const placeless: Rule = (file) =>
  bannedWords
    .filter(([what, pattern]) => pattern.test(file.text) && !(what.endsWith("repository host") && hostExceptions.has(file.path)))
    .map(([what]) => `contains ${what}`);

export const fileRules = {
  importDirection,
  packageToFolder,
  fileSize,
  pureActors,
  fileNames,
  placeless,
} as const satisfies Record<string, Rule>;

/** Codes of the table that no other source file names. */
export function unusedCodes(codes: readonly string[], files: readonly SourceFile[]): string[] {
  const others = files.filter(
    (file) => isCode(file) && file.path !== "protocol/error-codes.ts" && !file.path.startsWith("test/"),
  );
  return codes.filter((code) => !others.some(({ text }) => text.includes(code)));
}

/** Promises 1 to `count` that docs/invariants.md does not mention with a test file, and test files that do not exist. */
export function brokenPromises(markdown: string, count: number, exists: (path: string) => boolean): string[] {
  const problems: string[] = [];
  const lines = markdown.split("\n");
  for (let number = 1; number <= count; number++) {
    const start = lines.findIndex((line) => new RegExp(`^(#+ |\\| *|\\*\\*)?${number}(\\.| *\\|)`).test(line));
    if (start < 0) {
      problems.push(`promise ${number} is missing`);
      continue;
    }
    const next = lines.findIndex(
      (line, index) => index > start && new RegExp(`^(#+ |\\| *|\\*\\*)?${number + 1}(\\.| *\\|)`).test(line),
    );
    const section = lines.slice(start, next < 0 ? undefined : next).join("\n");
    const tests = [...section.matchAll(/test\/[\w./-]+\.test\.ts/g)].map(([path]) => path);
    if (tests.length === 0) problems.push(`promise ${number} names no test`);
    for (const path of tests) if (!exists(path)) problems.push(`promise ${number} names ${path}, which does not exist`);
  }
  return problems;
}

const builtInCommands = new Set(["ci", "install", "run", "exec", "help", "audit", "config"]);

/** Commands of a page (`npm test`, `npm run demo`) that package.json does not have. */
export function unknownCommands(markdown: string, scripts: Readonly<Record<string, string>>): string[] {
  const called = [...markdown.matchAll(/\bnpm (run )?([a-z][a-z:-]*)/g)].map(([command, run, name = ""]) => ({
    command,
    run,
    name,
  }));
  return called
    .filter(({ run, name }) => !(name in scripts) && (run !== undefined || !builtInCommands.has(name)))
    .map(({ command }) => command);
}
