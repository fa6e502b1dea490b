/** QuestDB away, set back, suspended, or changed under us; an external one, which the server only knows by its address. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HOUR_MS } from "../../protocol/windows.ts";
import { eventually } from "../support/real-server.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { PATIENCE_MS, TENANT, type World } from "./world.ts";

async function withQuestDb(world: World): Promise<void> {
  await world.startQuestDb();
}

/** One statement of an operator's. */
async function exec(world: World, sql: string): Promise<readonly (readonly unknown[])[]> {
  const questdb = world.sql();
  try {
    return (await questdb.exec(sql)).rows;
  } finally {
    await questdb.close();
  }
}

async function eventRows(world: World): Promise<number> {
  return Number((await exec(world, `SELECT count() FROM events WHERE tenant = '${TENANT}'`))[0]?.[0]);
}

/** Resolves when there are rows of so many events. */
async function rowsArrive(world: World, count: number): Promise<void> {
  const arrived = async (): Promise<boolean> => (await eventRows(world).catch(() => 0)) >= count;
  await eventually(arrived, `${count} rows have arrived`, PATIENCE_MS);
}

async function becomesPending(world: World): Promise<string> {
  await world.warehouseIs("pending");
  await world.progress(100);
  return "warehouse `pending`, /readyz 200 `degraded`, events taken";
}

/** A change of the table by an operator that our rows do not fit any more, and its taking back. */
function schemaChange(name: string, change: string, back: string): StreamingFault {
  return {
    name: `questdb-${name}`,
    fault: `in the console: ${change}`,
    expected: "rows wait in the journal or the table is mended by the writer; when it fits, all rows are there",
    questdb: "external",
    before: withQuestDb,
    inject: async (world) => {
      await rowsArrive(world, 100);
      await exec(world, change);
    },
    react: async (world, observer) => {
      // Some are refused, some mended at once: either way rows come again in the end, and events are taken all the time.
      const before = await eventRows(world);
      await world.progress(500);
      const goesOn = async (): Promise<boolean> => (await eventRows(world).catch(() => before)) > before + 200;
      await eventually(async () => observer.last?.warehouse === "pending" || (await goesOn()), "a reaction", PATIENCE_MS);
      return observer.last?.warehouse === "pending" ? "warehouse `pending`, events taken" : "rows go on";
    },
    heal: async (world) => {
      await exec(world, back).catch(() => undefined);
      await world.warehouseIs("ready");
    },
  };
}

const cases: readonly StreamingFault[] = [
  {
    name: "questdb-away",
    fault: "QuestDB is not there from the start on",
    expected: "warehouse `pending`, /readyz 200 `degraded`; rows wait in the journal and are written when it comes",
    questdb: "external",
    inject: async () => undefined,
    react: becomesPending,
    heal: async (world) => {
      await world.startQuestDb();
      await world.warehouseIs("ready");
    },
  },
  {
    name: "questdb-killed",
    fault: "QuestDB is killed while it takes rows",
    expected: "warehouse `pending`; rows go on when it is back",
    questdb: "external",
    before: withQuestDb,
    inject: async (world) => {
      await rowsArrive(world, 100);
      await world.killQuestDb();
    },
    react: becomesPending,
    heal: async (world) => {
      await world.startQuestDb();
      await world.warehouseIs("ready");
    },
  },
  {
    name: "questdb-lost-tail",
    fault: "QuestDB comes back without rows that it had acknowledged",
    expected: "its restart is seen, and the safety tail is sent again",
    questdb: "external",
    flags: { journalRetentionMs: HOUR_MS, warehouseSafetyTailMs: HOUR_MS },
    before: withQuestDb,
    inject: async (world) => {
      await rowsArrive(world, 100);
      const copy = join(world.scratch, "questdb-then");
      await world.stopQuestDb();
      cpSync(world.questdbRoot, copy, { recursive: true });
      await world.startQuestDb();
      const before = await eventRows(world);
      await world.progress(500);
      await rowsArrive(world, before + 400);
      await world.killQuestDb();
      rmSync(world.questdbRoot, { recursive: true });
      cpSync(copy, world.questdbRoot, { recursive: true });
    },
    react: becomesPending,
    heal: async (world) => {
      await world.startQuestDb();
      await world.warehouseIs("ready");
    },
  },
  {
    name: "questdb-suspended",
    fault: "a table is suspended",
    expected: "/readyz shows it, the table is resumed",
    questdb: "external",
    before: withQuestDb,
    inject: async (world) => {
      await rowsArrive(world, 100);
      await exec(world, "ALTER TABLE events SUSPEND WAL");
    },
    react: async (world) => {
      const isResumed = async (): Promise<boolean> =>
        (await exec(world, "SELECT suspended FROM wal_tables() WHERE name = 'events'"))[0]?.[0] === false;
      await eventually(isResumed, "the table is resumed", PATIENCE_MS);
      return "the table was resumed";
    },
    heal: async () => undefined,
  },
  schemaChange("column-dropped", "ALTER TABLE events DROP COLUMN user_agent", "ALTER TABLE events ADD COLUMN user_agent VARCHAR"),
  schemaChange(
    "column-renamed",
    "ALTER TABLE events RENAME COLUMN user_agent TO agent",
    "ALTER TABLE events RENAME COLUMN agent TO user_agent",
  ),
  schemaChange(
    "column-type",
    "ALTER TABLE events ALTER COLUMN partition TYPE TIMESTAMP",
    "ALTER TABLE events ALTER COLUMN partition TYPE INT",
  ),
];

export const questdb = cases.map(streaming);
