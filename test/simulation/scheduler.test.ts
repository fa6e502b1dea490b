/** The scheduler: virtual time, one task at a time, the same order for the same seed, and nothing of what was killed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";

async function orderOf(seed: number): Promise<string> {
  const scheduler = new Scheduler(new Random(seed));
  const process = scheduler.process("p");
  const order: number[] = [];
  for (let task = 0; task < 8; task++) process.after(10, () => order.push(task));
  for (let task = 8; task < 12; task++) process.soon(() => order.push(task));
  await scheduler.run(1_000);
  assert.equal(order.length, 12);
  return order.join();
}

test("tasks of one moment run in an order that the seed decides, and only the seed", async () => {
  const orders = await Promise.all(Array.from({ length: 20 }, (_, seed) => orderOf(seed)));
  assert.deepEqual(orders, await Promise.all(orders.map((_, seed) => orderOf(seed))));
  assert.ok(new Set(orders).size > 15, "seeds differ");
});

test("time is virtual: it stands where the task is, and does not wait", async () => {
  const scheduler = new Scheduler(new Random(1));
  const process = scheduler.process("p");
  const seen: number[] = [];
  for (const delayMs of [3_600_000, 5, 700]) process.after(delayMs, () => seen.push(scheduler.elapsedMs));
  await scheduler.run(7_200_000);
  assert.deepEqual(seen, [5, 700, 3_600_000]);
  assert.equal(scheduler.elapsedMs, 7_200_000);
});

test("what follows from a task without waiting has run before the next one", async () => {
  const scheduler = new Scheduler(new Random(1));
  const process = scheduler.process("p");
  const seen: string[] = [];
  const deep = async (name: string): Promise<void> => {
    for (let step = 0; step < 20; step++) await Promise.resolve();
    queueMicrotask(() => seen.push(`${name} done`));
  };
  process.after(1, () => void deep("one"));
  process.after(1, () => void deep("other"));
  process.after(2, () => seen.push("next"));
  await scheduler.run(10);
  assert.equal(seen.at(-1), "next");
  assert.equal(seen.length, 3);
});

test("a killed process never runs again; others do", async () => {
  const scheduler = new Scheduler(new Random(1));
  const [victim, other] = [scheduler.process("victim"), scheduler.process("other")];
  const seen: string[] = [];
  const cancel = other.every(10, () => seen.push("other"));
  victim.every(10, () => seen.push("victim"));
  other.after(25, () => victim.kill());
  other.after(45, cancel);
  await scheduler.run(1_000);
  assert.deepEqual(seen.filter((name) => name === "victim").length, 2);
  assert.deepEqual(seen.filter((name) => name === "other").length, 4);
  victim.after(1, () => seen.push("late"));
  await scheduler.run(2_000);
  assert.ok(!seen.includes("late"));
});

test("a task that throws is told, and ends nothing", async () => {
  const scheduler = new Scheduler(new Random(1));
  const process = scheduler.process("p");
  const errors: unknown[] = [];
  let after = false;
  scheduler.onError = (error) => errors.push(error);
  process.after(1, () => {
    throw new Error("planted");
  });
  process.after(2, () => (after = true));
  await scheduler.run(10);
  assert.equal(errors.length, 1);
  assert.ok(after);
});

test("forks of a seed are apart, and each is the same again", () => {
  const numbers = (seed: number, name: string): number[] => {
    const random = new Random(seed).fork(name);
    return Array.from({ length: 4 }, () => random.next());
  };
  assert.deepEqual(numbers(7, "disk"), numbers(7, "disk"));
  assert.notDeepEqual(numbers(7, "disk"), numbers(7, "clients"));
  assert.notDeepEqual(numbers(7, "disk"), numbers(8, "disk"));
  const random = new Random(3);
  for (let turn = 0; turn < 1_000; turn++) {
    const [number, duration] = [random.integer(2, 4), random.duration(1, 100)];
    assert.ok(number >= 2 && number <= 4 && duration >= 1 && duration <= 100);
  }
});
