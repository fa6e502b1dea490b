/** QuestDB away, set back, suspended, or changed under us; an external one, which the server only knows by its address. */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { HOUR_MS } from "../../protocol/windows.ts";
import { eventually } from "../support/real-server.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { runProgram } from "./tools.ts";
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
    fault: "QuestDB runs out of file descriptors (prlimit) and suspends a table",
    expected: "/readyz is `degraded` and names the table; it is resumed once the cause is gone",
    needs: ["prlimit"],
    questdb: "external",
    before: withQuestDb,
    inject: async (world) => {
      await rowsArrive(world, 100);
      const pid = world.questdbPid;
      const used = readdirSync(`/proc/${pid}/fd`).length;
      await runProgram("prlimit", ["--pid", String(pid), `--nofile=${used - 20}:`]);
    },
    react: async (world, observer) => {
      const suspended = (): string[] => (observer.last?.tables ?? []).filter((each) => each.suspended).map(({ table }) => table);
      await eventually(() => suspended().length > 0, "a table is suspended", PATIENCE_MS);
      const tables = suspended().join();
      await world.progress(100);
      return `/readyz \`${observer.last?.status}\`, suspended: ${tables}; events taken`;
    },
    heal: async (world, observer) => {
      await runProgram("prlimit", ["--pid", String(world.questdbPid), "--nofile=20000:"]);
      const isWell = (): boolean => observer.last?.tables?.every(({ suspended }) => !suspended) === true;
      await eventually(isWell, "every table is resumed", PATIENCE_MS);
    },
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
