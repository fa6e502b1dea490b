/** Both kinds of line deliver every message, in order, never during `post`, also what was posted before anybody listened. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { inlineLine, threadLine } from "../../workers/line.ts";
import type { HostLine } from "../../workers/messages.ts";

type Ends = [HostLine<number, number>, HostLine<number, number>];

function overPorts(context: TestContext): Ends {
  const { port1, port2 } = new MessageChannel();
  context.after(() => port1.close());
  return [threadLine(port1), threadLine(port2)];
}

const kinds: readonly [string, (context: TestContext) => Ends][] = [
  ["inline", () => inlineLine<number, number>()],
  ["thread", overPorts],
];

for (const [kind, make] of kinds) {
  test(`${kind}: in order, both ways, never during post`, { timeout: 10_000 }, async (context) => {
    const [one, two] = make(context);
    one.post(0);
    const got: number[] = [];
    const back = new Promise<number[]>((resolve) => {
      const answers: number[] = [];
      one.onMessage((message) => {
        answers.push(message);
        if (answers.length === 100) resolve(answers);
      });
    });
    two.onMessage((message) => {
      got.push(message);
      two.post(message);
    });
    for (let message = 1; message < 100; message++) {
      one.post(message);
      assert.equal(got.length, 0);
    }
    const expected = Array.from({ length: 100 }, (_, index) => index);
    assert.deepEqual(await back, expected);
    assert.deepEqual(got, expected);
  });
}
