/** The project's own text files: all that git would keep, found without git, so that an unpacked archive can be checked too. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "./project.ts";
import type { SourceFile } from "./tidy-rules.ts";

const foldersIgnored = new Set([".git", "node_modules", "dist", ".build", ".cache"]);
const rootFoldersIgnored = new Set(["data"]);
const textFile = /(\.(ts|mjs|js|json|md|yml|yaml|sh|html|css|svg|txt|csv|sql)|(^|\/)(LICENSE|run|\.[a-z]+))$/;

export function projectFiles(): SourceFile[] {
  return pathsUnder("")
    .filter((path) => textFile.test(path))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(projectRoot, path), "utf8") }));
}

function pathsUnder(folder: string): string[] {
  return readdirSync(join(projectRoot, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return entry.isFile() ? [path] : [];
    const ignored = foldersIgnored.has(entry.name) || (folder === "" && rootFoldersIgnored.has(entry.name));
    return ignored ? [] : pathsUnder(path);
  });
}
