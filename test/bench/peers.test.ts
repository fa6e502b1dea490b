/**
 * The peers bench. Whatever of the peers is installed gets the small size; what is not is named, with the package that has
 * it. A peer of our own, which needs nothing installed, shows that the generator sends what Weir is sent and that a wrong
 * answer fails the run.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { comparePeers, peers } from "../../bench/load/peers.ts";
import { LogCount } from "../../bench/peers/logged-frames.ts";
import type { PeerMachine } from "../../bench/peers/machine.ts";
import type { Peer } from "../../bench/peers/peer.ts";
import { redisStream } from "../../bench/peers/redis.ts";
import { findPeers, registry } from "../../bench/peers/registry.ts";
import { encodeCommand, parseReply, type RespValue } from "../../bench/peers/resp.ts";
import { renderReport } from "../../bench/render.ts";
import { projectRoot } from "../support/project.ts";

/** Nor a Java that was fetched for an earlier start. */
const emptyMachine: PeerMachine = { env: { PATH: "", XDG_CACHE_HOME: join(tmpdir(), "weir-peers-no-such-folder") }, folders: [] };

/** Takes what `redis stream` is sent, and counts all but the first `lost` batches. */
function ownPeer(lost: number): Peer {
  return {
    ...redisStream,
    load: { eventsPerSecond: 100_000, connections: 2, inFlight: 3, framesPerRequest: 1 },
    missing: async () => undefined,
    start: async () => {
      const frames: Buffer[] = [];
      const server = createServer((socket) => {
        let rest: Buffer = Buffer.alloc(0);
        socket.on("data", (chunk) => {
          rest = Buffer.concat([rest, chunk]);
          for (
            let command = parseReply(rest, 0);
            command !== undefined;
            command = rest.length > 0 ? parseReply(rest, 0) : undefined
          ) {
            rest = rest.subarray(command.end);
            const frame = (command.value as readonly RespValue[]).at(-1);
            if (Buffer.isBuffer(frame)) frames.push(frame);
            socket.write("+OK\r\n");
          }
        });
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return {
        version: "0",
        address: { port: (server.address() as AddressInfo).port },
        cpuUs: () => 0,
        answer: async () => {
          const log = new LogCount();
          for (const frame of frames.slice(lost)) log.add(frame);
          return log.answer();
        },
        stop: async () => {
          server.close();
          await once(server, "close");
        },
      };
    },
  };
}

test("a machine without any peer: each is skipped with one line that says what is missing", async () => {
  const { found, skipped } = await findPeers(registry, emptyMachine);
  assert.deepEqual(found, []);
  assert.equal(skipped.length, registry.length);
  for (const [index, line] of skipped.entries()) {
    assert.ok(line.startsWith(`skipped ${registry[index]?.name}: no `), line);
    assert.match(line, /\((Debian|PyPI) package [\w.-]+[^)]*\)$/);
  }
});

test("a peer's answer that lacks one batch fails the run; a whole one does not", async () => {
  const run = (lost: number): ReturnType<typeof comparePeers> =>
    comparePeers([ownPeer(lost)], emptyMachine, "small", () => undefined, []);
  const report = await run(0);
  assert.equal(report.results.length, 1);
  await assert.rejects(run(1), /redis stream: wrong answer after 24 frames: 2300 events .* expected 2400/);
});

test("a peer that is installed and does not start is skipped with a line that says why", async () => {
  const broken: Peer = { ...ownPeer(0), start: () => Promise.reject(new Error("no such library")) };
  const report = await comparePeers([broken], emptyMachine, "small", () => undefined, []);
  assert.deepEqual(report.results, []);
  assert.deepEqual(report.notes, ["skipped redis stream: it did not start: no such library"]);
});

test("what is installed counts what it is sent, and the report says what each makes durable", async (context) => {
  const report = await peers({ size: "small", flags: new Set() }, () => undefined);
  const [weir, naive] = report.results;
  assert.equal(weir?.name, "weir");
  assert.equal(naive?.name, "naive");
  for (const { figures, about } of report.results) {
    assert.ok((figures["eventsPerSecond"] ?? 0) > 0);
    assert.ok(about?.["durable"] !== undefined && about["aggregates"] !== undefined);
  }
  for (const note of report.notes ?? []) context.diagnostic(note);
  const tried = registry.filter(({ inSmallSize }) => inSmallSize);
  assert.equal(report.results.length - 2 + (report.notes?.length ?? 0), tried.length);
  assert.match(renderReport(report), /durable +aggregates/);
});

test("bench/README.md says of each peer what it makes durable and what it aggregates", () => {
  const readme = readFileSync(join(projectRoot, "bench/README.md"), "utf8");
  for (const { name, durable, aggregates, deduplicates } of registry) {
    const row = `| \`${name}\` | ${durable} | ${aggregates} | ${deduplicates ? "yes" : "no"} |`;
    assert.ok(readme.includes(row), `no row ${row}`);
  }
});

test("a reply of Redis is read wherever it was cut", () => {
  const bytes = Buffer.concat([
    encodeCommand("a", 12, Buffer.from("\r\n")),
    Buffer.from("*-1\r\n$-1\r\n:7\r\n+OK\r\n-ERR no\r\n"),
  ]);
  const whole = readAll([bytes]);
  assert.equal(whole.length, 6);
  for (let cut = 1; cut < bytes.length; cut++) {
    assert.deepEqual(readAll([bytes.subarray(0, cut), bytes.subarray(cut)]), whole);
  }
});

function readAll(chunks: readonly Buffer[]): RespValue[] {
  const values: RespValue[] = [];
  let rest: Buffer = Buffer.alloc(0);
  for (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (let reply = parseReply(rest, 0); reply !== undefined; reply = parseReply(rest, 0)) {
      values.push(reply.value);
      rest = rest.subarray(reply.end);
    }
  }
  return values;
}
