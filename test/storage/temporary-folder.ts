/** A folder of a test's own, removed with the test. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export function temporaryFolder(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weir-storage-"));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
