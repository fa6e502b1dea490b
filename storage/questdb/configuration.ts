/**
 * The configuration of a managed QuestDB. Loopback only; nothing is made by a row that names something new; an accepted
 * row is on disk. The page sizes and worker pauses are for many small tables and commits: with QuestDB's defaults ten
 * tables of 20 columns over three days take 5 GB, and an idle server spins.
 */
export interface ConfigurationInput {
  readonly httpPort: number;
  readonly pgPort: number;
  readonly pgPassword: string;
}

export const PG_USER = "weir";

export function serverConf({ httpPort, pgPort, pgPassword }: ConfigurationInput): string {
  const settings: Record<string, string | number> = {
    "config.validation.strict": "true",
    "telemetry.enabled": "false",
    "http.bind.to": `127.0.0.1:${httpPort}`,
    "http.min.enabled": "false",
    "line.tcp.enabled": "false",
    "line.udp.enabled": "false",
    "line.auto.create.new.tables": "false",
    "line.auto.create.new.columns": "false",
    "pg.enabled": "true",
    "pg.net.bind.to": `127.0.0.1:${pgPort}`,
    "pg.user": PG_USER,
    "pg.password": pgPassword,
    // SQL of tenants comes over PG wire: its own workers keep a stuck join away from HTTP, and so from writes.
    "pg.worker.count": 2,
    "query.timeout": "30s",
    "log.sql.query.progress.exe": "false",
    "cairo.sql.copy.root": "import",
    "cairo.commit.mode": "sync",
    "cairo.writer.data.append.page.size": "256k",
    "cairo.system.writer.data.append.page.size": "64k",
    "cairo.o3.column.memory.size": "256k",
    "cairo.system.o3.column.memory.size": "64k",
    "cairo.wal.writer.data.append.page.size": "256k",
    "cairo.writer.data.index.value.append.page.size": "256k",
  };
  for (const workers of ["shared", "wal.apply", "mat.view.refresh"]) {
    settings[`${workers}.worker.yield.threshold`] = 1;
    settings[`${workers}.worker.nap.threshold`] = 10;
    settings[`${workers}.worker.sleep.threshold`] = 100;
    settings[`${workers}.worker.sleep.timeout`] = 10;
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

/** Only what an operator must see: by default QuestDB writes a line for every connection. */
export const LOG_CONF = [
  "writers=stdout",
  "w.stdout.class=io.questdb.log.LogConsoleWriter",
  "w.stdout.level=ERROR,CRITICAL,ADVISORY",
  "",
].join("\n");
