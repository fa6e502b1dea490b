/** The linter's own configuration, on fixtures that break it: a rule that is not switched on would pass in silence. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "./support/project.ts";

interface Finding {
  readonly code?: string;
  readonly filename: string;
}

/** Lints the given files under a copy of the project's configuration; `file: rule` for each finding, sorted. */
async function lint(files: Readonly<Record<string, string>>): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "weir-lint-"));
  try {
    for (const name of [".oxlintrc.json", "tsconfig.json", "package.json"]) await cp(join(projectRoot, name), join(folder, name));
    await symlink(join(projectRoot, "node_modules"), join(folder, "node_modules"), "junction");
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), text);
    }
    const program = join(projectRoot, "node_modules", "oxlint", "bin", "oxlint");
    const { diagnostics } = JSON.parse(await outputOf(program, ["--format", "json"], folder)) as { diagnostics: Finding[] };
    return diagnostics.map(({ filename, code }) => `${filename}: ${code ?? "?"}`).toSorted();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function outputOf(program: string, args: readonly string[], cwd: string): Promise<string> {
  // Findings make the exit code 1; what counts is what was printed.
  return new Promise((resolve) => execFile(process.execPath, [program, ...args], { cwd }, (_error, stdout) => resolve(stdout)));
}

test("each rule of the configuration can fail", async () => {
  const findings = await lint({
    "protocol/a.ts": 'import { b } from "./b.ts";\nexport const a = (): unknown => b;\n',
    "protocol/b.ts": 'import { a } from "./a.ts";\nexport const b = (): unknown => a;\n',
    "protocol/up.ts": 'export { x } from "../server/x.ts";\n',
    "actors/impure.ts": "export const now = (): number => Date.now() + Math.random();\n",
    "actors/timer.ts": "export const wait = (act: () => void): void => void setTimeout(act, 1);\n",
    "actors/disk.ts": 'export { readFileSync } from "node:fs";\n',
    "storage/questdb/x.ts": 'export { open } from "lmdb";\n',
    "server/x.ts": "export const x = 1;\nconsole.log(x);\n",
    "server/loose.ts": "export const loose = (value: any): number => value!;\n",
    "workers/floating.ts": "const act = async (): Promise<void> => undefined;\nact();\n",
    "workers/socket.ts": 'export { App } from "uWebSockets.js";\n',
    "cli/deep.ts": 'export { y } from "../../actors/y.ts";\n',
  });
  assert.deepEqual(findings, [
    "actors/disk.ts: eslint(no-restricted-imports)",
    "actors/impure.ts: eslint(no-restricted-properties)",
    "actors/impure.ts: eslint(no-restricted-properties)",
    "actors/timer.ts: eslint(no-restricted-globals)",
    "cli/deep.ts: eslint(no-restricted-imports)",
    "protocol/a.ts: import(no-cycle)",
    "protocol/b.ts: import(no-cycle)",
    "protocol/up.ts: eslint(no-restricted-imports)",
    "server/loose.ts: typescript(no-explicit-any)",
    "server/loose.ts: typescript(no-non-null-assertion)",
    "server/x.ts: eslint(no-console)",
    "storage/questdb/x.ts: eslint(no-restricted-imports)",
    "workers/floating.ts: typescript(no-floating-promises)",
    "workers/socket.ts: eslint(no-restricted-imports)",
  ]);
});

test("what is allowed passes: a test that is not awaited, a print in a command, imports down the layers", async () => {
  const findings = await lint({
    "protocol/x.ts": "export const x = 1;\n",
    "cli/print.ts": 'import { x } from "../protocol/x.ts";\n\nconsole.log(x);\n',
    "test/x.test.ts": 'import { test } from "node:test";\n\ntest("waits for nobody", async () => undefined);\n',
  });
  assert.deepEqual(findings, []);
});
