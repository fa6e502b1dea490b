/** Field by field: what the schema and the hot path say about it. Both must name the same field. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { analyticsEvent, analyticsEventAt, knownFields } from "../../protocol/event.ts";
import { validateEvent } from "../../protocol/event-validator.ts";
import { ACCEPTED, codeOf } from "../../protocol/verdicts.ts";
import { INGEST_MS, type Event } from "./event-arbitraries.ts";

function event(changes: Event = {}): Event {
  return {
    eventId: "e1",
    sessionId: "s1",
    userId: "u1",
    eventType: "page_view",
    eventCategory: "web",
    timestamp: INGEST_MS,
    properties: {},
    context: {
      userAgent: "",
      ipAddress: "",
      deviceType: "",
      platform: "",
      location: { country: "NZ", region: "", city: "x" },
      referrer: "",
    },
    source: "test",
    version: "1",
    environment: "test",
    ...changes,
  };
}

/** undefined when both accept. */
function refusal(value: Event): string | undefined {
  const checked = analyticsEventAt(INGEST_MS).safeParse(value);
  const { verdict, path } = validateEvent(value, INGEST_MS);
  assert.equal(checked.success, verdict === ACCEPTED);
  if (checked.success) return undefined;
  assert.equal(String(checked.error.issues[0]?.path[0]), path?.split(".")[0]);
  return `${codeOf(verdict)?.replace("WEIR_EVENT_", "")} ${path}`;
}

const ids = ["eventId", "sessionId", "userId"];
const labels = ["eventType", "eventCategory", "source", "version", "environment"];
const notTexts: unknown[] = [null, 0, true, [], {}, ["e1"]];

describe("an id or a label", () => {
  for (const field of [...ids, ...labels]) {
    it(`${field} is a text of 1-256 bytes`, () => {
      for (const good of ["a", "x".repeat(256), "é".repeat(128), " ", "null"])
        assert.equal(refusal(event({ [field]: good })), undefined);
      for (const bad of notTexts) assert.equal(refusal(event({ [field]: bad })), `FIELD_TYPE ${field}`);
      for (const bad of ["", "x".repeat(257), "é".repeat(129)])
        assert.equal(refusal(event({ [field]: bad })), `FIELD_LENGTH ${field}`);
      assert.equal(refusal(event({ [field]: "a\uD800" })), `FIELD_ENCODING ${field}`);
      assert.equal(refusal(event({ [field]: "a\uFFFD" })), ids.includes(field) ? `FIELD_ENCODING ${field}` : undefined);
    });
  }
});

describe("a field that is not there", () => {
  for (const field of knownFields) {
    it(field, () => {
      const without = event();
      delete without[field];
      assert.equal(refusal(without), field === "userId" ? undefined : `FIELD_MISSING ${field}`);
    });
  }
  for (const field of ["userAgent", "ipAddress", "deviceType", "platform"]) {
    it(`context.${field}`, () => {
      const context = { ...(event()["context"] as Event) };
      delete context[field];
      assert.equal(refusal(event({ context })), `FIELD_MISSING context.${field}`);
    });
  }
  it("context.location, context.referrer, country and region may be absent", () => {
    const context = { userAgent: "", ipAddress: "", deviceType: "", platform: "" };
    assert.equal(refusal(event({ context })), undefined);
    assert.equal(refusal(event({ context: { ...context, location: {} } })), undefined);
  });
});

describe("timestamp", () => {
  const good: unknown[] = [
    INGEST_MS,
    INGEST_MS + 0.5,
    "2024-05-31T10:00:00Z",
    "2024-06-01T14:00:00+02:00",
    Date.UTC(2000, 0, 1),
    INGEST_MS + 300_000,
  ];
  for (const timestamp of good) it(`takes ${String(timestamp)}`, () => assert.equal(refusal(event({ timestamp })), undefined));
  const bad: unknown[] = [
    null,
    true,
    "",
    "yesterday",
    "2024-02-30T00:00:00Z",
    "2024-06-01T00:00:00",
    "1717243200000",
    Number.NaN,
    0,
    [],
    {},
  ];
  for (const timestamp of bad) {
    it(`refuses ${JSON.stringify(timestamp)}`, () => assert.equal(refusal(event({ timestamp })), "TIMESTAMP_INVALID timestamp"));
  }
  it("refuses the future", () => assert.equal(refusal(event({ timestamp: INGEST_MS + 300_001 })), "TIMESTAMP_FUTURE timestamp"));
});

describe("properties, context and unknown fields", () => {
  for (const field of ["properties", "context"]) {
    it(`${field} is a map`, () => {
      for (const bad of [null, 1, "text", true, []]) assert.equal(refusal(event({ [field]: bad })), `FIELD_TYPE ${field}`);
    });
  }
  for (const field of ["userAgent", "ipAddress", "deviceType", "platform", "referrer"]) {
    it(`context.${field} is a text`, () => {
      for (const bad of notTexts) {
        assert.equal(
          refusal(event({ context: { ...(event()["context"] as Event), [field]: bad } })),
          `FIELD_TYPE context.${field}`,
        );
      }
    });
  }
  it("hold plain values", () => {
    const context = event()["context"] as Event;
    for (const place of [
      (x: unknown) => ({ properties: { x } }),
      (x: unknown) => ({ context: { ...context, x } }),
      (x: unknown) => ({ x }),
    ]) {
      for (const good of ["", 1, -0.5, true, null, [], {}, [{ y: [null] }]]) assert.equal(refusal(event(place(good))), undefined);
      const path = Object.keys(place(1))[0] === "x" ? "x" : `${Object.keys(place(1))[0]}.x`;
      for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, 2n ** 60n])
        assert.equal(refusal(event(place(bad))), `NUMBER_INVALID ${path}`);
      for (const bad of [new Date(), new Map(), Buffer.alloc(1), /a/, () => 1])
        assert.equal(refusal(event(place(bad))), `VALUE_INVALID ${path}`);
    }
  });
  it("are kept, unknown ones too", () => {
    const full = event({ campaign: { name: "x" }, userId: "u" });
    assert.deepEqual(analyticsEvent.parse(full), full);
  });
  it("are judged when they are the only unknown one, with and without a user", () => {
    const { userId: _, ...anonymous } = event();
    assert.equal(refusal({ ...anonymous, extra: Number.NaN }), "NUMBER_INVALID extra");
    assert.equal(refusal(event({ extra: Number.NaN })), "NUMBER_INVALID extra");
    assert.equal(refusal(event({ userId: undefined, extra: Number.NaN })), "NUMBER_INVALID extra");
  });
});
