/** `npm run docs`: writes the pages that are generated from the code; `test/tidy.test.ts` fails when they are not up to date. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, projectRoot, runScript, ScriptError } from "./prepare.mjs";

await runScript(async () => {
  await prepare();
  const generators = join(projectRoot, "dist", "server", "docs.js");
  if (!existsSync(generators)) throw new ScriptError("server/docs.ts is missing: nothing to generate.");
  const { errorsMarkdown, configurationMarkdown } = await import(pathToFileURL(generators).href);
  for (const [name, generate] of [
    ["errors.md", errorsMarkdown],
    ["configuration.md", configurationMarkdown],
  ]) {
    writeFileSync(join(projectRoot, "docs", name), generate());
    console.error(`weir: wrote docs/${name}`);
  }
});
