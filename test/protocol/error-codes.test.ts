/** The table of errors is consistent, and an error carries what the table says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { entryOf, errorCodes, isErrorCode, WeirError, type ErrorCodeEntry } from "../../protocol/error-codes.ts";

test("codes, statuses and close codes are well formed", () => {
  for (const [code, entry] of Object.entries<ErrorCodeEntry>(errorCodes)) {
    assert.match(code, /^WEIR(_[A-Z]+[0-9]*)+$/);
    assert.match(entry.message, /^\S.*\.$/);
    assert.ok(entry.status >= 200 && entry.status < 600);
    // RFC 6455, section 7.4.2: codes of the registry, or those for private use.
    if (entry.close !== undefined)
      assert.ok((entry.close >= 1000 && entry.close <= 1014) || (entry.close >= 4000 && entry.close < 5000));
  }
});

test("only codes of the table are codes", () => {
  assert.ok(isErrorCode("WEIR_FRAME_MALFORMED"));
  for (const text of ["", "WEIR_NOTHING", "constructor", "toString"]) assert.equal(isErrorCode(text), false);
});

test("an error has its message, cause and path", () => {
  const cause = new Error("inner");
  const error = new WeirError("WEIR_FLOW_OVERLOADED", "Wait.", { path: "events", cause });
  assert.equal(error.message, `${entryOf("WEIR_FLOW_OVERLOADED").message} Wait.`);
  assert.equal(error.retryable, true);
  assert.equal(error.path, "events");
  assert.equal(error.cause, cause);
  assert.equal("cause" in new WeirError("WEIR_INTERNAL"), false);
});
