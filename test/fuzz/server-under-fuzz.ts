/**
 * The whole server as a child process that can be asked for its memory after a garbage collection; `fuzz-target.ts` starts it with
 * `--expose-gc` and the settings as its one argument. Its log goes to stderr like that of `weir serve`.
 */
import { parseConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { startServer } from "../../server/main.ts";

export interface MemoryBytes {
  readonly heap: number;
  readonly external: number;
  readonly resident: number;
}

export type FromServer =
  | { readonly kind: "ready"; readonly port: number; readonly questdb: string | undefined }
  | { readonly kind: "memory"; readonly memory: MemoryBytes };
export type ToServer = "memory" | "drain";

const config = parseConfig({ flags: JSON.parse(process.argv[2] ?? "{}") as Record<string, unknown> });
const server = await startServer(config, createLog({ level: "info", destination: process.stderr }));

function tell(message: FromServer): void {
  process.send?.(message);
}

async function memory(): Promise<MemoryBytes> {
  // Buffers are freed by finalizers that run in a turn of their own, and then leave what they held to the next collection.
  for (let round = 0; round < 2; round++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed, external, resident: rss };
}

process.on("message", (message: ToServer) => {
  if (message === "memory") void memory().then((found) => tell({ kind: "memory", memory: found }));
  else void server.drain().then(() => process.exit(0));
});
// As `weir serve` does: a server whose host has stopped is of no more use.
void server.failed.then(() => process.exit(1));
process.on("disconnect", () => process.exit(1));
tell({ kind: "ready", port: server.port, questdb: server.questdb?.http });
