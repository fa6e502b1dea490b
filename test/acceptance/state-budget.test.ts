/**
 * A real server with next to no room for state (promises 11, 12): a tenant that sends ever new sessions and ids is refused with a
 * code over both transports, before anything is written; another one beside it is never refused and waits for nothing; what was
 * acknowledged is counted exactly, also by the replay after a kill; and the full tenant, which goes on sending with the client,
 * gets a frame through now and then, by which its sessions close, and is let in again.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect, type WeirClient } from "../../client/index.ts";
import { DAY_MS, MINUTE_MS } from "../../protocol/windows.ts";
import { TestSocket, type Frame } from "../server/gateway-fixture.ts";
import { eventually } from "../support/real-server.ts";
import { ServerProcess } from "../support/server-process.ts";
import { wireEvent } from "../workers/frame-fixture.ts";

const FULL = "WEIR_TENANT_STATE_FULL";
const FRAME_EVENTS = 200;
/** Far more than fits. */
const FRAMES_MAX = 1_000;

const settings = {
  "one tenant's budget": { WEIR_TENANT_STATE_MIB: "2" },
  "the budget of all": { WEIR_TENANT_STATE_MIB: "0", WEIR_TOTAL_STATE_MIB: "3" },
};

for (const [name, env] of Object.entries(settings)) {
  describe(name, () => {
    const firstMs = Date.now() - 3 * 60 * MINUTE_MS;
    let server: ServerProcess;
    let key: string;
    let noisy: TestSocket;
    let quiet: QuietTenant;
    let acked = 0;
    let sent = 0;

    before(async () => {
      const flags = { hostThreads: 2, partitions: 4, snapshotEveryMs: 200, sessionGapMs: 1_000 };
      server = await ServerProcess.create(flags, { PATH: process.env["PATH"], ...env });
      key = await server.newKey("noisy");
      const quietKey = await server.newKey("quiet");
      await server.start();
      noisy = await socketOf(server, key);
      quiet = new QuietTenant(quietKey, await socketOf(server, quietKey));
    });
    after(async () => {
      noisy.terminate();
      await quiet.stop();
      await server.end();
    });

    const newEvents = (count: number, timeMs: number) =>
      Array.from({ length: count }, () => wireEvent({ id: `id-${++sent}`, sessionId: `session-${sent}`, timeMs }));
    const publish = async (count = FRAME_EVENTS): Promise<Frame> => {
      const answer = await noisy.ask({ t: "pub", seq: ++sent, events: newEvents(count, firstMs) });
      if (answer["t"] === "ack") acked += Number(answer["successfulEvents"]);
      return answer;
    };

    test("a tenant with ever new sessions is refused at last", async () => {
      let answer = await publish();
      for (let frames = 1; frames < FRAMES_MAX && answer["t"] === "ack"; frames++) {
        await pause(10);
        answer = await publish();
      }
      const { t, code, retryable, retryAfterMs } = answer;
      assert.deepEqual([t, code, retryable, retryAfterMs], ["error", FULL, true, 1_000], `after ${acked} events`);
      assert.match(String(answer["message"]), /It takes [0-9.]+ MiB, more than .*sessions [0-9.]+ MiB/);
    });

    test("so it is over HTTP", async () => {
      const post = async (): Promise<Response> => {
        const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
        const body = JSON.stringify(newEvents(1, firstMs));
        const response = await fetch(`${server.url}/v1/events`, { method: "POST", headers, body });
        if (response.status === 200) acked++;
        return response;
      };
      // One of two in a row: the first may be that of the second.
      let response = await post();
      if (response.status === 200) response = await post();
      assert.deepEqual([response.status, response.headers.get("retry-after")], [429, "1"]);
      const problem = (await response.json()) as Record<string, unknown>;
      assert.deepEqual([problem["code"], problem["retryable"]], [FULL, true]);
    });

    test("some frames are let through, few", async () => {
      const ackedBefore = acked;
      const startMs = Date.now();
      for (; Date.now() - startMs < 3_000; await pause(20)) await publish(1);
      assert.ok(acked > ackedBefore && acked - ackedBefore <= 4, `${acked - ackedBefore} frames in 3 seconds`);
    });

    test(
      "the client goes on until all of it is taken: time passes for the state, which empties by itself",
      { timeout: 60_000 },
      async () => {
        assert.equal(await metric(server, "weir_state_full"), 1);
        const client = connect({ url: server.url, key, batchEvents: 20, retry: { delayMsMin: 50, delayMsMax: 400 } });
        try {
          const frames = Array.from({ length: 40 }, (_, frame) => newEvents(20, firstMs + (30 + frame) * MINUTE_MS));
          const result = await client.publish(frames.flat());
          assert.deepEqual([result.successfulEvents, result.failedEvents], [800, 0]);
          acked += 800;
        } finally {
          await client.close();
        }
        await eventually(async () => (await metric(server, "weir_state_full")) === 0, "the tenant has room again");
        for (let frames = 0; frames < 5; frames++) assert.equal((await publish())["t"], "ack");
      },
    );

    test("the quiet one was never refused", async () => {
      await quiet.stop();
      assert.ok(quiet.acked > 5 * 50);
      assert.deepEqual(quiet.refusals, []);
    });

    test("what was acknowledged is counted, no more and no less, also after a kill", async () => {
      for (const round of ["running", "replayed"]) {
        assert.equal(await eventsOf(server, key), acked, `noisy, ${round}`);
        assert.equal(await eventsOf(server, quiet.key), quiet.acked, `quiet, ${round}`);
        if (round === "replayed") break;
        const refused = await metric(server, `weir_refusals_total{code="${FULL}"}`);
        assert.ok(refused > 20 && (await metric(server, "weir_state_full_frames_taken_total")) > 0);
        assert.doesNotMatch(await metricsText(server), /noisy|quiet/);
        await server.stop("SIGKILL");
        await server.start();
      }
    });
  });
}

/** Sends a few events at a time of few sessions, one frame after the other, from the start until it is stopped. */
class QuietTenant {
  readonly key: string;
  readonly refusals: Frame[] = [];
  acked = 0;
  #stopped = false;
  readonly #socket: TestSocket;
  readonly #over: Promise<void>;

  constructor(key: string, socket: TestSocket) {
    this.key = key;
    this.#socket = socket;
    this.#over = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#over;
    this.#socket.terminate();
  }

  async #run(): Promise<void> {
    for (let seq = 1; !this.#stopped; seq++) {
      const events = Array.from({ length: 5 }, (_, index) =>
        wireEvent({ id: `quiet-${seq}-${index}`, sessionId: `s${index}`, timeMs: Date.now() }),
      );
      const answer = await this.#socket.ask({ t: "pub", seq, events });
      if (answer["t"] === "ack") this.acked += Number(answer["successfulEvents"]);
      else this.refusals.push(answer);
      await pause(20);
    }
  }
}

async function socketOf(server: ServerProcess, key: string): Promise<TestSocket> {
  const socket = new TestSocket(`${server.url.replace("http", "ws")}/v1/stream`, key);
  await socket.opened;
  return socket;
}

async function eventsOf(server: ServerProcess, key: string): Promise<unknown> {
  const client: WeirClient = connect({ url: server.url, key });
  try {
    const timeRange = { from: Date.now() - DAY_MS, to: Date.now() + DAY_MS };
    return (await client.query({ metrics: ["events.count"], timeRange, granularity: "all" })).data[0]?.["events.count"];
  } finally {
    await client.close();
  }
}

async function metricsText(server: ServerProcess): Promise<string> {
  return (await fetch(`${server.url}/metrics`)).text();
}

/** NaN when it is not there. */
async function metric(server: ServerProcess, name: string): Promise<number> {
  const line = (await metricsText(server)).split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? Number.NaN);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
