/**
 * Writes `test/data/format-N.json.gz`: a data directory of today's format N, for the tests of all later versions. To be run
 * once for a format, before the first release that has it; after that the file stays as it is, and a change of what is on
 * disk is a new format with a migration (docs/operations.md, Upgrades).
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, projectRoot, runScript } from "./prepare.mjs";

await runScript(async () => {
  await prepare();
  const fixture = join(projectRoot, "dist", "test", "support", "format-fixture.js");
  const { writeFormatFixture } = await import(pathToFileURL(fixture).href);
  console.error(`weir: wrote ${await writeFormatFixture()}`);
});
