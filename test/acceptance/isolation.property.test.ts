/**
 * Law: whatever one tenant reads, by whatever name, the answer is the same for the name of another tenant's thing as for the
 * name of nothing; it is empty, 404 or 403, and holds nothing of the other tenant.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { nameless, names, plain, startTwoTenants, type NameKind, type TwoTenants } from "../support/two-tenants.ts";

let two: TwoTenants;

before(async () => {
  two = await startTwoTenants();
});
after(async () => {
  two.watcher.terminate();
  await two.real.close();
});

const kind = fc.constantFrom(...(Object.keys(names) as NameKind[]));
const ownMetric = fc.constantFrom("events", "events_by_type_and_country", "sessions");
const output = fc.constantFrom("", ".count", ".rate", ".p95", ".nothing");
const window = fc.constantFrom("", "&window=hour", "&window=24h");
const source = fc.constantFrom("auto", "live", "rollup", "raw");
const granularity = fc.constantFrom("all", "1m", "1h");

/** A request as a function of which of a pair of names it uses. */
type Read = (at: 0 | 1) => { path: string; body?: object };

const read: fc.Arbitrary<Read> = fc.oneof(
  kind.map((each): Read => (at) => ({ path: `/v1/sessions/${names[each][at]}` })),
  kind.map((each): Read => (at) => ({ path: `/v1/exports/${names[each][at]}` })),
  fc.tuple(kind, output, window).map(([each, out, span]): Read => (at) => ({
    path: `/v1/realtime?names=events,${names[each][at]}${out}${span}`,
  })),
  fc.tuple(kind, output, source, granularity).map(([each, out, from, size]): Read => (at) => ({
    path: "/v1/query",
    body: { metrics: [names[each][at] + out], timeRange: { last: "24h" }, source: from, granularity: size },
  })),
  fc.tuple(ownMetric, kind, kind, source).map(([metric, dimension, value, from]): Read => (at) => ({
    path: "/v1/query",
    body: {
      metrics: [metric],
      dimensions: ["eventType"],
      filters: [{ dimension: names[dimension][at], op: "eq", value: names[value][at] }],
      timeRange: { last: "24h" },
      source: from,
    },
  })),
  fc.tuple(kind, kind).map(([first, second]): Read => (at) => ({
    path: "/v1/query",
    body: {
      metrics: ["events_by_type_and_country"],
      dimensions: ["eventType"],
      filters: [{ dimension: "eventType", op: "in", value: [names[first][at], names[second][at]] }],
      timeRange: { last: "24h" },
    },
  })),
);

/** The tenant that asks has no events: any figure but 0 would be another's. */
function dataOf(body: string): string {
  const [data = ""] = plain(body).split('"metadata"');
  return data.replace('"refreshInterval":30000', "");
}

test("reading by another tenant's names is reading by names of nothing", async () => {
  const answer = async (request: { path: string; body?: object }) => {
    const { path, body } = request;
    return two.ask(two.keys.brook, path, body === undefined ? {} : { method: "POST", body: JSON.stringify(body) });
  };
  await fc.assert(
    fc.asyncProperty(read, async (request) => {
      const [foreign, absent] = [await answer(request(0)), await answer(request(1))];
      assert.equal(foreign.status, absent.status);
      assert.equal(nameless(foreign.headers), nameless(absent.headers));
      assert.equal(nameless(plain(foreign.body)), nameless(plain(absent.body)));
      if (foreign.status === 200) assert.doesNotMatch(dataOf(foreign.body), /:[1-9]/);
    }),
    { numRuns: 150 },
  );
});
