/** A real QuestDB in a temp folder on free ports, for one test file. The jar and Java are found as the product finds them. */
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { QuestDbHttp } from "../../../../storage/questdb/http.ts";
import { cacheFolder, prepareRuntime } from "../../../../storage/questdb/runtime.ts";
import { QuestDbServer } from "../../../../storage/questdb/server.ts";
import type { QuestDbServerOptions, ServerLog } from "../../../../storage/questdb/server.ts";
import { projectRoot } from "../../../support/project.ts";

export const silentLog: ServerLog = { info: () => undefined, warn: () => undefined };

export async function serverOptions(root: string): Promise<QuestDbServerOptions> {
  const cache = cacheFolder(process.env, projectRoot);
  const { java, jar } = await prepareRuntime({ env: process.env, home: homedir(), cache, progress: () => undefined });
  return { root, httpPort: 0, pgPort: 0, java: java.program, jar, log: silentLog };
}

export interface ManagedQuestDb {
  readonly server: QuestDbServer;
  readonly http: QuestDbHttp;
  close(): Promise<void>;
}

export async function startQuestDb(): Promise<ManagedQuestDb> {
  const root = mkdtempSync(join(tmpdir(), "weir-questdb-"));
  const server = new QuestDbServer(await serverOptions(root));
  await server.start();
  const http = new QuestDbHttp({ url: server.url });
  return {
    server,
    http,
    close: async () => {
      await http.close();
      await server.stop();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
