/**
 * What must hold once nothing is under way: everything is acknowledged, and ledger, live panes, metric rows, a recount of raw
 * rows, session rows and subscribers all say what the model says. Each check returns what differs.
 */
import { HOUR_MS } from "../../protocol/windows.ts";
import { PaneLadder } from "../../actors/pane.ts";
import { rowKey } from "../../client/channel-state.ts";
import { tables } from "../../storage/questdb/tables.ts";
import type { WarehouseCell, WarehouseRow, WarehouseTable } from "../../storage/ports.ts";
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

type Numbers = ReadonlyMap<string, number>;

const typeOf = (event: SimEvent): string => JSON.stringify([event.eventType]);

export interface EndState {
  readonly server: SimServer;
  readonly model: Model;
  readonly questdb: SimQuestDb;
  readonly subscribers: readonly SimSubscriber[];
}

/** The cheap ones first, and those behind one that fails only with `all`: it is asked again and again until nothing differs. */
export async function differences(state: EndState, all: boolean): Promise<string[]> {
  const { server, model } = state;
  const checks: readonly (() => string[] | Promise<string[]>)[] = [
    () => unansweredEvents(model),
    () => ledgerDifferences(server, model),
    () => rawDifferences(state),
    () => paneRowDifferences(state),
    () => liveDifferences(server, model),
    () => subscriberDifferences(state),
  ];
  const found: string[] = [];
  for (const check of checks) {
    found.push(...(await check()));
    if (found.length > 0 && !all) break;
  }
  return found;
}

function unansweredEvents(model: Model): string[] {
  const ids = model.unanswered;
  return ids.length === 0 ? [] : [`${ids.length} events have no answer, such as ${ids[0]}`];
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
  const rows = questdb.rows("events");
  const { late, invalid } = model.ledger;
  const sums = [
    ...differ("raw rows", model.counted.size, rows.length),
    ...differ("dead-letter rows", late + invalid, questdb.rows("dead_letters").length),
    ...differ("events of session rows", model.counted.size, eventsInVisits(questdb)),
  ];
  if (sums.length > 0) return sums;
  const cell = cellsOf("events");
  const bySeries = new Map<string, number>();
  for (const row of rows) {
    const series = JSON.stringify([cell(row, "event_type"), cell(row, "country")]);
    add(bySeries, `${Math.floor(Number(cell(row, "ts")) / HOUR_MS) * HOUR_MS} ${series}`, 1);
  }
  return [
    ...differ("raw rows, each id once", rows.length, new Set(rows.map((row) => cell(row, "event_id"))).size),
    ...compare("raw rows by series", counts(model.totals(seriesOf)), bySeries),
  ];
}

function eventsInVisits(questdb: SimQuestDb): number {
  const cell = cellsOf("sessions");
  const visits = questdb.rows("sessions").filter((row) => cell(row, "state") !== "superseded");
  return visits.reduce((sum, row) => sum + Number(cell(row, "events")), 0);
}

/** As a query reads them: hours that have aged from hour rows, the others from minute rows. */
async function paneRowDifferences({ server, model, questdb }: EndState): Promise<string[]> {
  const ladder = new PaneLadder(rules.paneRetention);
  ladder.advance((await server.live.clock(TENANT)).watermarkMs);
  const [bySeries, byType] = [new Map<string, number>(), new Map<string, number>()];
  const cell = cellsOf("metric_panes");
  for (const row of questdb.rows("metric_panes")) {
    const hourMs = Math.floor(Number(cell(row, "ts")) / HOUR_MS) * HOUR_MS;
    if ((cell(row, "pane") === "1h") !== hourMs < ladder.minuteFromMs) continue;
    const metric = cell(row, "metric");
    const key = `${hourMs} ${String(cell(row, "series"))}`;
    if (metric === BY_SERIES) add(bySeries, key, Number(cell(row, "count")));
    if (metric === VALUES) add(byType, key, Number(cell(row, "sum")));
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

/** Reads a cell by the name of its column. */
function cellsOf(table: WarehouseTable): (row: WarehouseRow, name: string) => WarehouseCell {
  const at = new Map<string, number>(tables[table].columns.map(({ name }, index) => [name, index]));
  return (row, name) => row[at.get(name) ?? -1] ?? null;
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
