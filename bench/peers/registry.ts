/** The peers, in the order of the report. */
import type { PeerMachine } from "./machine.ts";
import type { Peer } from "./peer.ts";
import { clickHouse, clickHouseLarge } from "./clickhouse.ts";
import { natsJetStream } from "./nats.ts";
import { postgresql } from "./postgresql.ts";
import { questDb, questDbLarge } from "./questdb.ts";
import { redisLua, redisLuaDistinct, redisStream } from "./redis.ts";
import { victoriaMetrics } from "./victoria-metrics.ts";

export const registry: readonly Peer[] = [
  redisLua,
  redisLuaDistinct,
  redisStream,
  natsJetStream,
  postgresql,
  questDb,
  questDbLarge,
  clickHouse,
  clickHouseLarge,
  victoriaMetrics,
];

export function peerNamed(name: string): Peer {
  const peer = registry.find((each) => each.name === name);
  if (peer === undefined) throw new RangeError(`no peer has the name ${name}`);
  return peer;
}

/** Those that can run here, and a line for each one that cannot. */
export async function findPeers(
  peers: readonly Peer[],
  machine: PeerMachine,
): Promise<{ readonly found: Peer[]; readonly skipped: string[] }> {
  const found: Peer[] = [];
  const skipped: string[] = [];
  for (const peer of peers) {
    const missing = await peer.missing(machine);
    if (missing === undefined) found.push(peer);
    else skipped.push(`skipped ${peer.name}: ${missing}`);
  }
  return { found, skipped };
}
