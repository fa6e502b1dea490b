/** A server of this process, as `weir serve` and the demo hold it: where it is, and how it ends. */
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../server/config.ts";
import type { RunningServer } from "../server/main.ts";
import { exitCodes } from "./exit-codes.ts";

export function addressesOf(config: Config, { port }: RunningServer): Readonly<Record<string, string>> {
  const { host } = config;
  const console = consoleOf(config);
  const reachable = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  const authority = `${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
  const secure = config.tlsCert === undefined ? "" : "s";
  return {
    url: `http${secure}://${authority}`,
    stream: `ws${secure}://${authority}/v1/stream`,
    metrics: `http${secure}://${authority}/metrics`,
    ready: `http${secure}://${authority}/readyz`,
    ...(console !== undefined && { console }),
  };
}

/** Where QuestDB's console is or, while it still starts, will be. Without the credentials that an external URL may hold. */
function consoleOf({ questdb, questdbHttpPort }: Config): string | undefined {
  if (questdb === "off") return undefined;
  return questdb === "managed" ? `http://127.0.0.1:${questdbHttpPort}` : new URL(questdb).origin;
}

/** How long a server that has failed may take to put in order what can be. */
const FAILED_DRAIN_MS = 5_000;

/**
 * Resolves when a signal came and the server has drained; rejects when the server cannot go on. A second signal ends the
 * process at once: unacknowledged frames are sent again.
 */
export function drainOnSignal(server: RunningServer): Promise<void> {
  return new Promise((resolve, reject) => {
    let draining = false;
    const onSignal = () => {
      if (draining) process.exit(exitCodes.failed);
      draining = true;
      process.stderr.write("draining; once more to force\n");
      server.drain().then(resolve, reject);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    const fail = async () => {
      const error = await server.failed;
      if (draining) return;
      draining = true;
      await Promise.race([server.drain().catch(() => undefined), delay(FAILED_DRAIN_MS)]);
      reject(error);
    };
    void fail();
  });
}
