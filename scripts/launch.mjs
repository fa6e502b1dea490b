/**
 * Runs a program of dist/ in this very process, as if it had been called by its name: signals, exit codes and the
 * terminal are its own, with no process in between that would have to pass them on.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { prepare, projectRoot, ScriptError } from "./prepare.mjs";

export async function launch(program, args) {
  await prepare();
  const file = join(projectRoot, "dist", program);
  if (!existsSync(file)) throw new ScriptError(`dist/${program} is missing although the build went well.`);
  process.argv = [process.execPath, file, ...args];
  await import(pathToFileURL(file).href);
}
