/**
 * The style that a linter does not see, checked on every text file of the project, and each rule on fixtures that break it:
 * a rule that cannot fail would be worth nothing.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { errorCodes } from "../protocol/error-codes.ts";
import { configurationMarkdown, errorsMarkdown } from "../server/docs.ts";
import { projectFiles } from "./support/project-files.ts";
import { projectRoot } from "./support/project.ts";
import { brokenPromises, fileRules, unknownCommands, unusedCodes, type Rule, type SourceFile } from "./support/tidy-rules.ts";

const PROMISES = 13;
const files = projectFiles();
const textOf = (path: string): string | undefined => files.find((file) => file.path === path)?.text;

test("the project's files were found", () => {
  assert.ok(files.length > 50, `only ${files.length} files`);
  for (const path of ["package.json", ".ci/run", "protocol/limits.ts", "test/tidy.test.ts", "docs/protocol.md"]) {
    assert.ok(textOf(path) !== undefined, `${path} was not read`);
  }
});

describe("the tree", () => {
  for (const [name, rule] of Object.entries(fileRules) as [string, Rule][]) {
    test(`keeps ${name}`, () => {
      const problems = files.flatMap((file) => rule(file).map((problem) => `${file.path}: ${problem}`));
      assert.deepEqual(problems, []);
    });
  }

  test("uses every error code", () => {
    assert.deepEqual(unusedCodes(Object.keys(errorCodes), files), []);
  });

  test("has generated pages that equal their sources (`npm run docs` writes them)", () => {
    assert.equal(textOf("docs/errors.md"), errorsMarkdown());
    assert.equal(textOf("docs/configuration.md"), configurationMarkdown());
  });

  test("names for each promise a test that exists", () => {
    assert.deepEqual(
      brokenPromises(textOf("docs/invariants.md") ?? "", PROMISES, (path) => existsSync(join(projectRoot, path))),
      [],
    );
  });

  test("has the commands that its pages name", () => {
    const { scripts } = JSON.parse(textOf("package.json") ?? "{}") as { scripts: Record<string, string> };
    const pages = files.filter(({ path }) => path.endsWith(".md"));
    assert.ok(
      pages.some(({ path }) => path === "README.md"),
      "README.md was not read",
    );
    assert.deepEqual(
      pages.flatMap(({ path, text }) => unknownCommands(text, scripts).map((command) => `${path}: ${command}`)),
      [],
    );
  });
});

describe("the rules can fail", () => {
  const broken: readonly (readonly [rule: keyof typeof fileRules, SourceFile])[] = [
    ["importDirection", { path: "actors/session.ts", text: 'import { x } from "../storage/ports.ts";' }],
    ["importDirection", { path: "wasm/tokens.ts", text: 'import { limits } from "../protocol/limits";' }],
    ["importDirection", { path: "protocol/ids.ts", text: 'export * from "../actors/session.ts";' }],
    ["importDirection", { path: "client/publisher.ts", text: 'const { x } = await import("../server/main.ts");' }],
    ["importDirection", { path: "server/api/query.ts", text: 'import type {\n  X,\n} from "../../client/index.ts";' }],
    ["importDirection", { path: "cli/weir.ts", text: 'import "../workers/hosts.ts";' }],
    ["importDirection", { path: "workers/hosts.ts", text: 'import { x } from "../test/support/project.ts";' }],
    ["packageToFolder", { path: "workers/hosts.ts", text: 'import { App } from "uWebSockets.js";' }],
    ["packageToFolder", { path: "storage/questdb/server.ts", text: 'import { open } from "lmdb";' }],
    ["packageToFolder", { path: "storage/lmdb/journal.ts", text: 'import pg from "pg";' }],
    ["packageToFolder", { path: "client/publisher.ts", text: 'import { join } from "node:path";' }],
    ["packageToFolder", { path: "actors/session.ts", text: 'import { z } from "zod";' }],
    ["packageToFolder", { path: "server/log.ts", text: 'import { z } from "zodiac";' }],
    ["fileSize", { path: "server/gateway.ts", text: "line\n".repeat(501) }],
    ["pureActors", { path: "actors/session.ts", text: "const now = Date.now();" }],
    ["pureActors", { path: "actors/session.ts", text: "const now = new Date();" }],
    ["pureActors", { path: "actors/session.ts", text: "const id = Math.random();" }],
    ["pureActors", { path: "actors/session.ts", text: "setTimeout(close, 10);" }],
    ["pureActors", { path: "actors/session.ts", text: "if (process.env.DEBUG) act();" }],
    ["pureActors", { path: "actors/session.ts", text: "const start = performance.now();" }],
    ["pureActors", { path: "actors/aggregates/count.ts", text: 'import { open } from "node:fs";' }],
    ["pureActors", { path: "actors/session.ts", text: "console.log(state);" }],
    ["fileNames", { path: "server/gateWay.ts", text: "" }],
    ["fileNames", { path: "server/query_plan.ts", text: "" }],
    ["fileNames", { path: "server/utils.ts", text: "" }],
    ["fileNames", { path: "server/helpers/plan.ts", text: "" }],
    ["fileNames", { path: "test/server/plan.fuzz.test.ts", text: "" }],
    ["placeless", { path: "README.md", text: `cd ${["", "home", "me", "weir"].join("/")}` }],
    ["placeless", { path: "bench/README.md", text: `see ${["", "work", "notes.md"].join("/")}` }],
    ["placeless", { path: ".npmrc", text: `registry=https://${["registry", "npmjs", "org"].join(".")}/` }],
    ["placeless", { path: "package-lock.json", text: `"${"resolved"}": "https://packages.example/zod-4.tgz"` }],
    ["placeless", { path: "scripts/fetch.mjs", text: `https://${["repo1", "maven", "org"].join(".")}/maven2` }],
  ];
  for (const [index, [rule, file]] of broken.entries()) {
    test(`${rule}: fixture ${index + 1}, ${file.path}`, () => assert.equal(fileRules[rule](file).length, 1));
  }

  test("but do not on what is allowed", () => {
    const fine: readonly SourceFile[] = [
      {
        path: "server/api/query.ts",
        text: 'import { z } from "zod";\nimport { x } from "../route.ts";\nimport type { Y } from "../../workers/ports.ts";\n',
      },
      { path: "storage/questdb/runtime.ts", text: `https://${["repo1", "maven", "org"].join(".")}/maven2` },
      { path: "actors/session.ts", text: "// Date.now() would not replay\nexport const processed = 1;\n" },
      { path: "test/server/plan.integration.test.ts", text: 'import "../../server/query/plan.ts";\n' },
      { path: "server/gateway.ts", text: "line\n".repeat(500) },
    ];
    for (const file of fine) for (const rule of Object.values(fileRules)) assert.deepEqual(rule(file), [], file.path);
  });

  test("an error code that nothing uses", () => {
    const used = { path: "server/main.ts", text: "WEIR_A" };
    const table = { path: "protocol/error-codes.ts", text: "WEIR_A WEIR_B" };
    assert.deepEqual(unusedCodes(["WEIR_A", "WEIR_B"], [used, table]), ["WEIR_B"]);
  });

  test("a promise without a test, or with one that is not there", () => {
    const page = "1. Acked = durable. `test/a.test.ts`\n2. Counted once. None.\n3. Verdicts. `test/gone.test.ts`\n";
    assert.deepEqual(
      brokenPromises(page, 4, (path) => path === "test/a.test.ts"),
      ["promise 2 names no test", "promise 3 names test/gone.test.ts, which does not exist", "promise 4 is missing"],
    );
    assert.deepEqual(
      brokenPromises("| 1 | Acked | test/a.test.ts |\n", 1, () => true),
      [],
    );
  });

  test("a command that package.json does not have", () => {
    const page = "Run `npm test`, `npm run demo`, `npm run bnech`, `npm strat` after `npm ci`.";
    assert.deepEqual(unknownCommands(page, { test: "", demo: "", start: "" }), ["npm run bnech", "npm strat"]);
  });
});
