/**
 * What must hold once nothing is under way: everything is acknowledged, and ledger, live panes, metric rows, a recount of raw
 * rows, session rows and subscribers all say what the model says. Each check returns what differs.
 */
import { HOUR_MS } from "../../protocol/windows.ts";
import { PaneLadder } from "../../actors/pane.ts";
import { rowKey } from "../../client/channel-state.ts";
import { tables } from "../../storage/questdb/tables.ts";
import type { WarehouseRow, WarehouseTable } from "../../storage/ports.ts";
import type { LiveQuery } from "../../workers/ports.ts";
import { TENANT, type SimEvent } from "./events.ts";
import { seriesOf, type Model, type Totals } from "./model.ts";
import type { SimQuestDb } from "./questdb.ts";
import { rules, type SimServer } from "./server.ts";
import type { SimSubscriber } from "./subscriber.ts";

const ALL_TIME = { fromMs: 0, toMs: 1e14 };
const EVENTS = "events";
const BY_SERIES = "events_by_type_and_country";
const VALUES = "value_by_type";

type Named = Readonly<Record<string, unknown>>;
type Numbers = ReadonlyMap<string, number>;

const typeOf = (event: SimEvent): string => JSON.stringify([event.eventType]);

export interface EndState {
  readonly server: SimServer;
  readonly model: Model;
  readonly questdb: SimQuestDb;
  readonly subscribers: readonly SimSubscriber[];
}

export async function differences(state: EndState): Promise<string[]> {
  const { server, model } = state;
  const unanswered = model.unanswered;
  return [
    ...(unanswered.length === 0 ? [] : [`${unanswered.length} events have no answer, such as ${unanswered[0]}`]),
    ...(await ledgerDifferences(server, model)),
    ...(await liveDifferences(server, model)),
    ...rawDifferences(state),
    ...(await paneRowDifferences(state)),
    ...(await subscriberDifferences(state)),
  ];
}

/** The ledger is that of the records on disk. Holds at any time when nothing is under way to the disk. */
export async function ledgerDifferences(server: SimServer, model: Model): Promise<string[]> {
  const { received, ...kinds } = await server.live.ledger(TENANT);
  return [
    ...differ("ledger: received", model.received, received),
    ...Object.entries(kinds).flatMap(([kind, count]) => differ(`ledger: ${kind}`, model.ledger[kind as "accepted"], count)),
  ];
}

/** Live panes count what the ledger says is accepted. Holds like the ledger. */
export async function acceptedDifferences(server: SimServer, model: Model): Promise<string[]> {
  const [answer] = await server.live.query(TENANT, [query(EVENTS, [])]);
  const count = Number(answer?.rows[0]?.outputs[0]?.[0] ?? 0);
  return differ("live events", model.ledger.accepted, count);
}

async function liveDifferences(server: SimServer, model: Model): Promise<string[]> {
  const live = await Promise.all([
    liveNumbers(server, EVENTS, [], [0, 0]),
    liveNumbers(server, BY_SERIES, [0, 1], [0, 0]),
    liveNumbers(server, VALUES, [0], [1, 0]),
    liveNumbers(server, "active_users", [], [0, 0]),
  ]);
  return [
    ...compare("live events", counts(model.totals(() => "[]")), live[0]),
    ...compare("live events by series", counts(model.totals(seriesOf)), live[1]),
    ...compare("live sums by type", sums(model.totals(typeOf)), live[2]),
    ...compare("live users", users(model.totals(() => "[]")), live[3]),
  ];
}

/** One output of a metric by hour and series. */
async function liveNumbers(
  server: SimServer,
  metric: string,
  keep: readonly number[],
  [aggregate, output]: readonly [number, number],
): Promise<Numbers> {
  const [answer] = await server.live.query(TENANT, [{ ...query(metric, keep), bucketMs: HOUR_MS }]);
  return new Map(
    (answer?.rows ?? []).map(({ startMs, dimensions, outputs }) => [
      `${startMs} ${JSON.stringify(dimensions)}`,
      Number(outputs[aggregate]?.[output]),
    ]),
  );
}

function rawDifferences({ model, questdb }: EndState): string[] {
  const events = named("events", questdb.rows("events"));
  const bySeries = new Map<string, number>();
  for (const row of events) {
    const series = JSON.stringify([row["event_type"], row["country"]]);
    add(bySeries, `${Math.floor(Number(row["ts"]) / HOUR_MS) * HOUR_MS} ${series}`, 1);
  }
  const { late, invalid } = model.ledger;
  const visits = named("sessions", questdb.rows("sessions")).filter(({ state }) => state !== "superseded");
  const inVisits = visits.reduce((sum, row) => sum + Number(row["events"]), 0);
  return [
    ...differ("raw rows", model.counted.size, events.length),
    ...differ("raw rows, each id once", events.length, new Set(events.map((row) => row["event_id"])).size),
    ...compare("raw rows by series", counts(model.totals(seriesOf)), bySeries),
    ...differ("dead-letter rows", late + invalid, questdb.rows("dead_letters").length),
    ...differ("events of session rows", model.counted.size, inVisits),
  ];
}

/** As a query reads them: hours that have aged from hour rows, the others from minute rows. */
async function paneRowDifferences({ server, model, questdb }: EndState): Promise<string[]> {
  const ladder = new PaneLadder(rules.paneRetention);
  ladder.advance((await server.live.clock(TENANT)).watermarkMs);
  const [bySeries, byType] = [new Map<string, number>(), new Map<string, number>()];
  for (const row of named("metric_panes", questdb.rows("metric_panes"))) {
    const hourMs = Math.floor(Number(row["ts"]) / HOUR_MS) * HOUR_MS;
    if ((row["pane"] === "1h") !== hourMs < ladder.minuteFromMs) continue;
    const key = `${hourMs} ${String(row["series"])}`;
    if (row["metric"] === BY_SERIES) add(bySeries, key, Number(row["count"]));
    if (row["metric"] === VALUES) add(byType, key, Number(row["sum"]));
  }
  return [
    ...compare("metric rows by series", counts(model.totals(seriesOf)), bySeries),
    ...compare("metric rows, sums by type", sums(model.totals(typeOf)), byType),
  ];
}

async function subscriberDifferences({ server, subscribers }: EndState): Promise<string[]> {
  const found: string[] = [];
  for (const { name, channel, state } of subscribers) {
    const [metric = ""] = channel.split("@");
    if (state.window === undefined) {
      found.push(`${name} has no snapshot`);
      continue;
    }
    const definition = server.control.metric(TENANT, metric);
    const dimensions = definition?.dimensions ?? [];
    const { from, to } = state.window;
    const asked = { ...query(metric, [...dimensions.keys()]), span: { fromMs: from, toMs: to } };
    const [answer] = await server.live.query(TENANT, [asked]);
    const expected = new Map(
      (answer?.rows ?? []).map((row) => {
        const key = rowKey(Object.fromEntries(dimensions.map((each, index) => [each.name, row.dimensions[index] ?? null])));
        return [key, Number(row.outputs[0]?.[0])];
      }),
    );
    const shown = new Map([...state.rows].map(([key, row]) => [key, Number(row["count"] ?? row["distinct"])]));
    found.push(...compare(`${name} on ${channel}`, expected, shown));
  }
  return found;
}

function query(metric: string, keep: readonly number[]): LiveQuery {
  return { metric, span: ALL_TIME, bucketMs: Infinity, keep, filters: [] };
}

function named(table: WarehouseTable, rows: readonly WarehouseRow[]): Named[] {
  const names = tables[table].columns.map(({ name }) => name);
  return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at]])));
}

function counts(totals: ReadonlyMap<string, Totals>): Numbers {
  return new Map([...totals].map(([key, { count }]) => [key, count]));
}

function sums(totals: ReadonlyMap<string, Totals>): Numbers {
  return new Map([...totals].map(([key, { sum }]) => [key, sum]));
}

function users(totals: ReadonlyMap<string, Totals>): Numbers {
  return new Map([...totals].map(([key, each]) => [key, each.users.size]));
}

function add(to: Map<string, number>, key: string, value: number): void {
  to.set(key, (to.get(key) ?? 0) + value);
}

function differ(what: string, expected: number, found: number): string[] {
  return expected === found ? [] : [`${what}: ${expected} expected, ${found} found`];
}

/** The first few that differ. */
function compare(what: string, expected: Numbers, found: Numbers): string[] {
  const keys = [...new Set([...expected.keys(), ...found.keys()])].sort();
  const wrong = keys.filter((key) => (expected.get(key) ?? 0) !== (found.get(key) ?? 0));
  return wrong.slice(0, 3).map((key) => `${what}, ${key}: ${expected.get(key) ?? 0} expected, ${found.get(key) ?? 0} found`);
}
