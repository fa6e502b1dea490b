/**
 * The lives of one host, with lives that do what the test says: when the next one begins and with what, what is blamed, and
 * what becomes of a host that does not come back.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import type { HostLife } from "../../workers/host-life.ts";
import { packOutcomes } from "../../workers/packed-outcomes.ts";
import type { HostOptions } from "../../workers/host-options.ts";
import type { FromHost, HostFailure, ToHost } from "../../workers/messages.ts";
import { markOf, PoisonFrames, Strikes } from "../../workers/poison.ts";
import { restartPauseMs, restartPolicyDefault } from "../../workers/restart-policy.ts";
import { SupervisedHost } from "../../workers/supervise-host.ts";

class FakeLife implements HostLife {
  readonly options: HostOptions;
  readonly posted: ToHost[] = [];
  readonly #say: ((message: FromHost) => void)[] = [];
  readonly #ended: ((error: WeirError) => void)[] = [];
  ends: () => Promise<void> = async () => undefined;
  endsAsked = 0;
  readonly line = {
    post: (message: ToHost) => void this.posted.push(message),
    onMessage: (handler: (message: FromHost) => void) => void this.#say.push(handler),
    close: () => undefined,
  };

  constructor(options: HostOptions) {
    this.options = options;
  }

  onEnd(handler: (error: WeirError) => void): void {
    this.#ended.push(handler);
  }

  async end(): Promise<void> {
    this.endsAsked++;
    await this.ends();
  }

  async kill(): Promise<void> {
    return undefined;
  }

  say(message: FromHost): void {
    for (const handler of this.#say) handler(message);
  }

  die(): void {
    for (const handler of this.#ended) handler(new WeirError("WEIR_HOST_FAILED", "Exit 1."));
  }
}

function subject(context: TestContext, options: { attemptsMax?: number; beforeReopen?: () => Promise<void> } = {}) {
  const lives: FakeLife[] = [];
  const down: HostFailure[] = [];
  const lost: WeirError[] = [];
  const received: FromHost[] = [];
  const nowMs = { value: 1_000 };
  let back = 0;
  const host: SupervisedHost = new SupervisedHost({
    host: { host: 0, epoch: "first" } as HostOptions,
    launch: (each) => {
      const life = new FakeLife(each);
      lives.push(life);
      return life;
    },
    policy: { pauseMsMin: 1, pauseMsMax: 2, attemptsMax: options.attemptsMax ?? 3, wellAfterMs: 3_600_000 },
    now: () => nowMs.value,
    random: () => 0.5,
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    receive: (message) => received.push(message),
    onDown: (_error, failure) => down.push(failure),
    beforeReopen: options.beforeReopen ?? (async () => undefined),
    onBack: () => {
      back++;
      host.run();
    },
    onLost: (error) => lost.push(error),
  });
  context.after(() => host.stop());
  return { host, lives, down, lost, received, nowMs, backs: () => back };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

const recovered: FromHost = { type: "recovered", replayedRecords: 7 };
const commitFailed: FromHost = { type: "failed", code: "WEIR_JOURNAL_COMMIT_FAILED", message: "disk full" };

async function running(context: TestContext, options: Parameters<typeof subject>[1] = {}) {
  const all = subject(context, options);
  const started = all.host.start();
  all.lives[0]?.say(recovered);
  assert.equal(await started, 7);
  all.host.run();
  return all;
}

test("the next life begins when the last one is closed and others have let go, and not before", async (context) => {
  const order: string[] = [];
  const { host, lives, down, received } = await running(context, { beforeReopen: async () => void order.push("let go") });
  const [first] = lives;
  assert.ok(first !== undefined);
  let close: () => void = () => undefined;
  first.ends = () => new Promise<void>((resolve) => (close = resolve)).then(() => void order.push("closed"));
  first.say(commitFailed);
  assert.deepEqual([host.state, host.takesFrames, down.length], ["failed", false, 1]);
  // What a life that is over still says, and its end, change nothing.
  first.say(recovered);
  first.say({ type: "outcomes", outcomes: packOutcomes([]), spent: [] });
  first.die();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([lives.length, received.length, down.length], [1, 0, 1]);
  close();
  await until(() => lives.length === 2);
  assert.deepEqual(order, ["closed", "let go"]);
  assert.notEqual(lives[1]?.options.epoch, "first");
  assert.deepEqual(lives[1]?.options.again, { poison: [], skip: [] });
  lives[1]?.say(recovered);
  assert.deepEqual([host.state, host.takesFrames, host.supervision.restarts], ["running", true, 1]);
});

test("a thread that just dies is a failure", async (context) => {
  const { lives, host, backs } = await running(context);
  lives[0]?.die();
  assert.equal(host.supervision.lastError, "WEIR_HOST_FAILED");
  await until(() => lives.length === 2);
  lives[1]?.say(recovered);
  assert.equal(backs(), 1);
});

test("failures in a row are counted; past the limit it has given up and is still tried", async (context) => {
  const { host, lives, nowMs } = await running(context, { attemptsMax: 2 });
  for (let failure = 1; failure <= 4; failure++) {
    lives.at(-1)?.say(commitFailed);
    assert.equal(host.supervision.failures, failure);
    assert.equal(host.supervision.gaveUp, failure > 2);
    await until(() => lives.length === failure + 1);
    lives.at(-1)?.say(recovered);
  }
  assert.equal(host.state, "running");
  // It has run for long enough: the next failure is the first one again.
  nowMs.value += 3_600_000;
  assert.deepEqual([host.supervision.failures, host.supervision.gaveUp], [0, false]);
  lives.at(-1)?.say(commitFailed);
  assert.equal(host.supervision.failures, 1);
});

test("a life that cannot be ended, or environments that are not let go of, are the end", async (context) => {
  for (const beforeReopen of [undefined, () => Promise.reject(new Error("held"))]) {
    const { lives, lost, host } = await running(context, beforeReopen === undefined ? {} : { beforeReopen });
    const [life] = lives;
    if (life !== undefined && beforeReopen === undefined) life.ends = () => Promise.reject(new Error("stuck"));
    life?.say(commitFailed);
    await until(() => lost.length === 1);
    assert.deepEqual([lives.length, host.state], [1, "failed"]);
  }
});

test("a first life that fails ends the start, but not one that fails at a record", async (context) => {
  const { host, lives } = subject(context);
  const started = host.start();
  const record = { host: 0, offset: 5 };
  for (let failure = 1; failure <= 2; failure++) {
    lives.at(-1)?.say({ type: "failed", code: "WEIR_INTERNAL", message: "replay", record });
    await until(() => lives.length === failure + 1);
  }
  assert.deepEqual(
    lives.map(({ options }) => options.again?.skip),
    [undefined, [], [record]],
  );
  lives.at(-1)?.say({ type: "failed", code: "WEIR_START_DATA_FORMAT", message: "unknown" });
  await assert.rejects(started, { code: "WEIR_START_DATA_FORMAT" });
});

test("a frame is blamed when it was alone, for what is not the disk's, and twice", async (context) => {
  const { lives } = await running(context);
  const frame = markOf({ tenant: "acme" as TenantId, bytes: Uint8Array.of(1, 2, 3) });
  const poisonOf = (): number => lives.at(-1)?.options.again?.poison.length ?? 0;
  const fail = async (message: FromHost | "dies"): Promise<void> => {
    const count = lives.length;
    if (message === "dies") lives.at(-1)?.die();
    else lives.at(-1)?.say(message);
    await until(() => lives.length === count + 1);
    lives.at(-1)?.say(recovered);
  };
  await fail({ ...commitFailed, frame });
  await fail({ ...commitFailed, frame });
  await fail("dies");
  assert.equal(poisonOf(), 0);
  await fail({ type: "failed", code: "WEIR_INTERNAL", message: "assertion", frame });
  assert.equal(poisonOf(), 0);
  // What it was about to apply when its thread died.
  lives.at(-1)?.say({ type: "applying", frame });
  await fail("dies");
  assert.deepEqual(lives.at(-1)?.options.again?.poison, [frame]);
  lives.at(-1)?.say({ type: "applying", frame: { ...frame, hash: "other" } });
  lives.at(-1)?.say({ type: "applying", frame: undefined });
  await fail("dies");
  assert.equal(poisonOf(), 1);
});

test("a poison frame is known by its bytes and its tenant", () => {
  const bytes = new TextEncoder().encode("poison");
  const poison = new PoisonFrames([markOf({ tenant: "acme" as TenantId, bytes })]);
  assert.ok(poison.has({ tenant: "acme" as TenantId, bytes: bytes.slice() }));
  assert.ok(!poison.has({ tenant: "other" as TenantId, bytes }));
  assert.ok(!poison.has({ tenant: "acme" as TenantId, bytes: new TextEncoder().encode("poisoN") }));
});

test("strikes are bounded", () => {
  const strikes = new Strikes();
  for (let number = 0; number < 1_000; number++) {
    const mark = markOf({ tenant: "acme" as TenantId, bytes: Uint8Array.of(number & 255, number >> 8) });
    strikes.frame(mark);
    strikes.frame(mark);
  }
  assert.equal(strikes.frames.length, 64);
});

test("pauses grow to the cap, with jitter", () => {
  const policy = { ...restartPolicyDefault, pauseMsMin: 100, pauseMsMax: 30_000 };
  assert.deepEqual(
    [1, 2, 3, 9, 10, 1_000].map((failures) => restartPauseMs(policy, failures, 0.999_999)),
    [100, 200, 400, 25_600, 30_000, 30_000],
  );
  assert.equal(restartPauseMs(policy, 1, 0), 50);
});
