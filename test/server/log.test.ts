/** The log hides keys even in a field that should not have been there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog } from "../../server/log.ts";

test("lines are JSON with a constant message; keys are hidden", () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => void lines.push(line) } });
  log.info({ tenant: "acme", key: "weir_acme_x", headers: { authorization: "Bearer weir_acme_x" } }, "something happened");
  log.debug({}, "below the level");
  assert.equal(lines.length, 1);
  const line = JSON.parse(lines[0] ?? "{}") as Record<string, unknown>;
  assert.deepEqual([line["msg"], line["tenant"], line["service"]], ["something happened", "acme", "weir"]);
  assert.doesNotMatch(lines.join(""), /weir_acme_x/);
});

test("a key is hidden wherever it stands: deep in a field, in a message, in an error with its cause", () => {
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => void lines.push(line) } });
  const key = `weir_acme-shop_${"aB3".repeat(11).slice(0, 32)}`;
  const short = "weir_acme_short";
  log.info({ a: { b: { authorization: short } }, note: `Bearer ${key}.` }, `hello ${key}`);
  log.error({ err: new Error(`${key} failed`, { cause: new Error(key) }), list: [key] }, "failed");
  assert.equal(lines.length, 2);
  for (const line of lines) {
    assert.ok(!line.includes(key) && !line.includes(short), line);
    assert.match(line, /\[redacted\]/);
    assert.equal(typeof JSON.parse(line), "object");
  }
});
