/** Stage 2 is told whose a number is once, and again when the number has become another's or stage 2 starts anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SeriesTable } from "../../actors/series-table.ts";
import { rules } from "./event-fixture.ts";

test("a number is news once, again after a reuse, and again when stage 2 starts anew", () => {
  const table = new SeriesTable(10, 1, rules.dedupKey);
  const first = table.of(["a"]);
  table.addPane(first);
  assert.deepEqual([table.takeNews(first), table.takeNews(first)], ['["a"]', undefined]);
  table.removePane(first);
  const second = table.of(["b"]);
  table.addPane(second);
  assert.equal(second, first, "the number is used again");
  assert.deepEqual([table.takeNews(second), table.takeNews(second)], ['["b"]', undefined]);
  table.forgetTold();
  assert.equal(table.takeNews(second), '["b"]');
});
