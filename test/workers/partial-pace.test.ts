import assert from "node:assert/strict";
import test from "node:test";
import type { TenantId } from "../../protocol/ids.ts";
import type { HostLife } from "../../workers/host-life.ts";
import type { HostOptions } from "../../workers/host-options.ts";
import { Hosts } from "../../workers/hosts.ts";
import type { FromHost, ToHost } from "../../workers/messages.ts";
import { PartialPace } from "../../workers/partial-pace.ts";
import type { ChannelOpening } from "../../workers/ports.ts";

const EVERY_MS = 50;

/** At which times of a timer that asks every `EVERY_MS` partials go, when each time takes so long. */
function timesOf(pace: PartialPace, untilMs: number, busyMs: number): number[] {
  const times: number[] = [];
  for (let nowMs = 0; nowMs < untilMs; nowMs += EVERY_MS) {
    if (!pace.isDue(nowMs)) continue;
    pace.took(nowMs, busyMs);
    times.push(nowMs);
  }
  return times;
}

test("partials go with every tick while somebody subscribes, and with every fifth while nobody does", () => {
  const pace = new PartialPace(EVERY_MS);
  assert.deepEqual(timesOf(pace, 600, 1), [0, 250, 500]);
  pace.isHeard = true;
  assert.ok(pace.isDue(550), "the first subscriber does not wait for the slow pace");
  pace.took(550, 1);
  assert.ok(pace.isDue(600));
});

test("a timer that is a little early does not cost a whole period", () => {
  const pace = new PartialPace(EVERY_MS);
  pace.took(0, 1);
  assert.equal(pace.isDue(210), false);
  assert.ok(pace.isDue(249));
});

test("handing partials on takes a tenth of the time at most, and is at most a second late", () => {
  const pace = new PartialPace(EVERY_MS);
  pace.isHeard = true;
  assert.deepEqual(timesOf(pace, 400, 20), [0, 200]);
  pace.took(1_000, 500);
  assert.equal(pace.isDue(1_999), false);
  assert.ok(pace.isDue(2_000));
});

/** A host that answers as it is told; `heard` is what it knows of subscribers. */
class FakeHost implements HostLife {
  heard: boolean[] = [];
  readonly asks: Extract<ToHost, { type: "ask" }>[] = [];
  #say: (message: FromHost) => void = () => undefined;
  readonly line = {
    post: (message: ToHost) => {
      if (message.type === "heard") this.heard.push(message.isHeard);
      if (message.type === "ask") this.asks.push(message);
    },
    onMessage: (handler: (message: FromHost) => void) => {
      this.#say = handler;
      queueMicrotask(() => handler({ type: "recovered", replayedRecords: 0 }));
    },
    close: () => undefined,
  };

  say(message: FromHost): void {
    this.#say(message);
  }

  onEnd(): void {}
  async end(): Promise<void> {}
  async kill(): Promise<void> {}
}

async function twoHosts() {
  const lives: FakeHost[] = [];
  const hosts = new Hosts({
    hosts: [0, 1].map((host) => ({ host, hosts: 2, partitionCount: 2, epoch: "e" }) as HostOptions),
    inline: true,
    now: () => 0,
    onOutcomes: () => undefined,
    onFailed: () => undefined,
    restart: { pauseMsMin: 1, pauseMsMax: 1 },
    launch: () => {
      const life = new FakeHost();
      lives.push(life);
      return life;
    },
  });
  await hosts.start();
  return { hosts, lives };
}

const address = { tenant: "acme" as TenantId, metric: "m", window: "5m", everyMs: 100 } as const;
const snapshot: ChannelOpening = {
  kind: "snapshot",
  epoch: "e",
  seq: 1,
  window: { fromMs: 0, toMs: 1 },
  rows: [],
};

test("every host knows whether anybody subscribes, wherever the channel is", async () => {
  const { hosts, lives } = await twoHosts();
  const one = (): void => undefined;
  const two = (): void => undefined;
  hosts.open(address, undefined, one);
  hosts.open({ ...address, metric: "other" }, undefined, two);
  for (const life of lives) {
    for (const { id } of life.asks) life.say({ type: "answer", id, answer: snapshot });
    assert.deepEqual(life.heard, [true]);
  }
  hosts.close(address, one);
  for (const { heard } of lives) assert.deepEqual(heard, [true]);
  hosts.close({ ...address, metric: "other" }, two);
  for (const { heard } of lives) assert.deepEqual(heard, [true, false]);
  await hosts.stop();
});

test("a channel that is refused is heard by nobody", async () => {
  const { hosts, lives } = await twoHosts();
  hosts.open(address, undefined, () => undefined);
  for (const life of lives) {
    for (const { id } of life.asks) {
      life.say({ type: "answer", id, answer: { kind: "refused", code: "WEIR_METRIC_UNKNOWN" } satisfies ChannelOpening });
    }
  }
  for (const { heard } of lives) assert.deepEqual(heard, [true, false]);
  await hosts.stop();
});

test("a host that has come back is told that somebody subscribes", async () => {
  const { hosts, lives } = await twoHosts();
  hosts.open(address, undefined, () => undefined);
  lives[0]?.say({ type: "failed", code: "WEIR_JOURNAL_COMMIT_FAILED", message: "" });
  while (lives.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  const [, other, next] = lives;
  assert.ok(other !== undefined && next !== undefined);
  while (!next.heard.includes(true)) {
    for (const life of [other, next]) for (const { id } of life.asks.splice(0)) life.say({ type: "answer", id, answer: [] });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(next.heard, [true]);
  await hosts.stop();
});
