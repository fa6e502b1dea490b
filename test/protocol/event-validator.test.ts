/** Each kind of wrong event gets its verdict and the path of what is wrong. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventJsonSchema } from "../../protocol/event.ts";
import { validateEvent } from "../../protocol/event-validator.ts";
import { ACCEPTED, codeOf } from "../../protocol/verdicts.ts";
import { INGEST_MS, nested, type Event } from "./event-arbitraries.ts";

function event(changes: Event = {}): Event {
  return {
    eventId: "e1",
    sessionId: "s1",
    eventType: "page_view",
    eventCategory: "web",
    timestamp: "2024-05-31T10:00:00.000Z",
    properties: { amount: 1.5, tags: ["a", null, true] },
    context: { userAgent: "", ipAddress: "", deviceType: "desktop", platform: "macOS" },
    source: "test",
    version: "1",
    environment: "test",
    ...changes,
  };
}

function judge(value: unknown): string {
  const { verdict, path } = validateEvent(value, INGEST_MS);
  return verdict === ACCEPTED ? "accepted" : `${codeOf(verdict)?.replace("WEIR_EVENT_", "")} ${path ?? "-"}`;
}

describe("a good event", () => {
  it("is accepted", () => assert.equal(judge(event()), "accepted"));
  it("may have a user and unknown fields", () =>
    assert.equal(judge(event({ userId: "u", campaign: { name: "x" } })), "accepted"));
  it("may have fields that are undefined, which is absent", () => {
    assert.equal(judge(event({ userId: undefined, campaign: undefined, properties: { a: undefined } })), "accepted");
  });
  it("may have keys that objects inherit", () => {
    const tricky = JSON.parse('{"constructor":1,"toString":"x","hasOwnProperty":true,"valueOf":null}') as Event;
    assert.equal(judge(event({ properties: tricky, ...tricky })), "accepted");
  });
  it("may be stamped 5 minutes ahead", () => assert.equal(judge(event({ timestamp: INGEST_MS + 300_000 })), "accepted"));
});

describe("a wrong event", () => {
  const cases: [string, unknown, string][] = [
    ["no map", [], "NOT_A_MAP -"],
    ["a class instance", new Map(), "NOT_A_MAP -"],
    ["a missing field", event({ sessionId: undefined }), "FIELD_MISSING sessionId"],
    [
      "a missing context field",
      event({ context: { userAgent: "", ipAddress: "", platform: "" } }),
      "FIELD_MISSING context.deviceType",
    ],
    ["null for a text", event({ userId: null }), "FIELD_TYPE userId"],
    ["a number for a text", event({ eventType: 7 }), "FIELD_TYPE eventType"],
    ["a list for properties", event({ properties: [] }), "FIELD_TYPE properties"],
    ["an empty id", event({ eventId: "" }), "FIELD_LENGTH eventId"],
    ["257 bytes", event({ source: "x".repeat(257) }), "FIELD_LENGTH source"],
    ["257 bytes in 129 characters", event({ source: `${"é".repeat(128)}x` }), "FIELD_LENGTH source"],
    ["a replacement character in an id", event({ userId: "a\uFFFD" }), "FIELD_ENCODING userId"],
    ["a lone surrogate", event({ eventType: "a\uDC00" }), "FIELD_ENCODING eventType"],
    ["a null timestamp", event({ timestamp: null }), "TIMESTAMP_INVALID timestamp"],
    ["a time before 2000", event({ timestamp: 946_684_799_999 }), "TIMESTAMP_INVALID timestamp"],
    ["a time too far ahead", event({ timestamp: INGEST_MS + 300_001 }), "TIMESTAMP_FUTURE timestamp"],
    ["NaN", event({ properties: { a: { b: Number.NaN } } }), "NUMBER_INVALID properties.a.b"],
    ["an integer past 2^53", event({ properties: { n: [1, 2 ** 53] } }), "NUMBER_INVALID properties.n.1"],
    ["a BigInt", event({ campaign: 2n ** 60n }), "NUMBER_INVALID campaign"],
    ["a Date in properties", event({ properties: { at: new Date() } }), "VALUE_INVALID properties.at"],
    ["bytes in an unknown field", event({ extra: { b: new Uint8Array(1) } }), "VALUE_INVALID extra.b"],
    ["undefined in a list", event({ properties: { list: [undefined] } }), "VALUE_INVALID properties.list.0"],
    ["9 levels", event({ properties: { a: nested(8) } }), "PROPERTIES_TOO_LARGE properties"],
    ["33 KiB", event({ properties: { a: "x".repeat(33 * 1024) } }), "PROPERTIES_TOO_LARGE properties"],
  ];
  for (const [name, value, expected] of cases) it(`${name}: ${expected}`, () => assert.equal(judge(value), expected));

  it("is told from one at the limits", () => {
    assert.equal(judge(event({ properties: { a: nested(7) } })), "accepted");
    assert.equal(judge(event({ source: "é".repeat(128), eventType: "\uFFFD" })), "accepted");
    // {"a":"..."} is 8 bytes around the text.
    assert.equal(judge(event({ properties: { a: "x".repeat(32 * 1024 - 8) } })), "accepted");
    assert.match(judge(event({ properties: { a: "x".repeat(32 * 1024 - 7) } })), /TOO_LARGE/);
    const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]));
    assert.equal(judge(event({ properties: keys(256) })), "accepted");
    assert.match(judge(event({ properties: keys(257) })), /TOO_LARGE/);
  });
});

describe("the JSON Schema of an event", () => {
  it("names every field and what is required", () => {
    assert.equal(eventJsonSchema.type, "object");
    assert.deepEqual(Object.keys(eventJsonSchema.properties ?? {}).length, 11);
    assert.ok(!eventJsonSchema.required?.includes("userId"));
    assert.equal(eventJsonSchema.required?.length, 10);
    const { timestamp } = eventJsonSchema.properties as Record<string, { anyOf?: unknown }>;
    assert.deepEqual(timestamp?.anyOf, [{ type: "string", format: "date-time" }, { type: "number" }]);
  });
});
