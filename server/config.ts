/**
 * Every setting, once: its default, its unit (in the name), and what it changes at what price. Values come from flags,
 * then WEIR_* environment variables, then defaults. `--help` and `docs/configuration.md` are made from this schema.
 * Nothing here reads the environment: the caller passes it in.
 */
import { availableParallelism, totalmem } from "node:os";
import { z } from "zod";
import { WeirError } from "../protocol/error-codes.ts";
import { limits } from "../protocol/limits.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../protocol/windows.ts";
import { parseProxy } from "./client-address.ts";
import { logLevels } from "./log.ts";
import { parseWith } from "./route.ts";

/** Of the machine, or what its container may have of it. */
function memoryMib(): number {
  const constrained = process.constrainedMemory();
  const bytes = constrained === undefined || constrained === 0 ? totalmem() : Math.min(constrained, totalmem());
  return bytes / (1024 * 1024);
}

function integer(min: number, max: number) {
  // Flags and variables are texts. Only plain digits are a number: "", "1e3" and "0x10" are mistakes.
  return z.preprocess(
    (value) => (typeof value === "string" && /^-?[0-9]+$/.test(value) ? Number(value) : value),
    z
      .int({ error: "must be a whole number" })
      .min(min, { error: `must be at least ${min}` })
      .max(max, { error: `must be at most ${max}` }),
  );
}

function text(error: string) {
  return z.string({ error }).min(1, { error });
}

/** Texts joined by commas; each is taken in the form that `parse` gives it. */
function list(parse: (text: string) => string | undefined, error: string) {
  return z
    .string({ error })
    .default("")
    .transform((text, context) => {
      const parts = text.split(",").map((part) => part.trim());
      const parsed = parts.filter((part) => part !== "").map(parse);
      if (parsed.includes(undefined)) context.addIssue({ code: "custom", message: error });
      return parsed.filter((part) => part !== undefined);
    });
}

/** `https://app.example`, as browsers write it. */
function originOf(text: string): string | undefined {
  if (text === "*") return text;
  try {
    const url = new URL(text);
    const isWeb = url.protocol === "http:" || url.protocol === "https:";
    return isWeb && url.origin === text.toLowerCase().replace(/\/$/, "") ? url.origin : undefined;
  } catch {
    return undefined;
  }
}

const questdb = z.union([z.enum(["managed", "off"]), z.url({ protocol: /^https?$/ })], {
  error: "must be `managed`, `off` or an http(s) URL",
});

const settings = {
  port: integer(0, 65_535).default(7070).meta({ description: "The TCP port of HTTP and WebSocket; 0 takes a free one" }),
  host: text("must be an address").default("127.0.0.1").meta({
    description: "The address to listen on. `0.0.0.0` lets other machines in; use TLS then, here or in front",
  }),
  tlsCert: text("must be a file").optional().meta({
    description:
      "PEM file of the certificate and its chain: the port speaks TLS (1.2 or later) only. Noticed within 10 s when renewed",
    defaultText: "no TLS",
  }),
  tlsKey: text("must be a file").optional().meta({
    description: "PEM file of the certificate's private key, without a passphrase",
    defaultText: "no TLS",
  }),
  allowedOrigins: list(originOf, "must be origins such as https://app.example, or *").meta({
    description: "Web pages that may use the server from a browser, as origins joined by commas; `*` lets all pages in",
    defaultText: "none",
  }),
  trustedProxies: list(parseProxy, "must be addresses or subnets such as 10.0.0.0/8").meta({
    description:
      "Proxies whose X-Forwarded-For is believed, as addresses or subnets joined by commas. Needed behind a proxy on another " +
      "machine, or one who guesses keys locks out everybody",
    defaultText: "none",
  }),
  data: text("must be a folder").default("./data").meta({
    description: "The folder of journals, state and keys. A disk with fast fdatasync makes acks fast",
  }),
  partitions: integer(1, 200)
    .default(() => Math.max(4, 2 * availableParallelism()))
    .meta({
      description:
        "Units of state, fixed when the data folder is made. More of them spread over more threads; each costs memory, and time for " +
        "every changed pane (8 take a tenth more of the server than 4 with four tenants)",
      defaultText: "twice the cores, at least 4",
    }),
  hostThreads: integer(0, 256)
    .default(() => availableParallelism())
    .meta({
      description: "Threads that own partitions. 0 runs them in the main thread: least memory and latency, one core",
      defaultText: "cores",
    }),
  diskReserveMib: integer(0, 1_048_576).default(256).meta({
    description:
      "Free MiB on the disk of `data` below which events are refused with a retryable code, so that commits do not fail",
  }),
  tenantStateMib: integer(0, 1_048_576)
    .default(() => Math.floor(memoryMib() / 4))
    .meta({
      description:
        "MiB that what is remembered of one tenant may take (ids, open sessions, panes, as counted in `weir_state_bytes`); above it " +
        "its frames are refused with a retryable code. Lower keeps room for others and refuses sooner; 0: no bound",
      defaultText: "a quarter of the memory",
    }),
  totalStateMib: integer(0, 1_048_576)
    .default(() => Math.floor((memoryMib() * 3) / 8))
    .meta({
      description:
        "The same for all tenants together; above it those with more than their fair share are refused. Tables take up to twice " +
        "what counts while they grow: a higher bound needs the memory for that; 0: no bound",
      defaultText: "three eighths of the memory",
    }),
  hostRestartsMax: integer(1, 1_000).default(8).meta({
    description: "Failures in a row after which `/readyz` calls a partition host failed. It is still opened again every 30 s",
  }),
  snapshotEveryMs: integer(100, HOUR_MS).default(30_000).meta({
    description: "At most so long between snapshots of changed state. Lower restarts faster and writes more",
  }),
  partialEveryMs: integer(10, 10_000)
    .default(50)
    .meta({
      description:
        "How often changed panes go to their metrics while somebody subscribes to a channel; a fifth as often while nobody does. " +
        "Lower shows numbers sooner and costs CPU",
    }),
  dedupHorizonMs: integer(MINUTE_MS, 30 * DAY_MS)
    .default(DAY_MS)
    .meta({
      description: "For how long after receipt an event id counts once. Higher catches later resends and remembers more ids",
    }),
  allowedLatenessMs: integer(MINUTE_MS, 90 * DAY_MS)
    .default(7 * DAY_MS)
    .meta({
      description: "How far behind the watermark an event still corrects its pane. Higher keeps more panes in memory",
    }),
  paneFineRetentionMs: integer(MINUTE_MS, 90 * DAY_MS)
    .default(HOUR_MS)
    .meta({
      description: "For how long 10 s panes are kept before they merge into 1 min. Higher keeps detail and takes memory",
    }),
  paneMinuteRetentionMs: integer(MINUTE_MS, 90 * DAY_MS)
    .default(DAY_MS)
    .meta({
      description: "For how long 1 min panes are kept before they merge into 1 h. Higher keeps detail and takes memory",
    }),
  paneRetentionMs: integer(MINUTE_MS, 400 * DAY_MS)
    .optional()
    .meta({
      description: "For how long panes live in memory; at least the allowed lateness. Higher answers longer ranges live",
      defaultText: "the allowed lateness",
    }),
  deadLetterRetentionMs: integer(HOUR_MS, 3_650 * DAY_MS)
    .default(90 * DAY_MS)
    .meta({
      description: "For how long after receipt dead letters can be listed and sent again. Higher takes disk",
    }),
  sessionGapMs: integer(1_000, DAY_MS)
    .default(30 * MINUTE_MS)
    .meta({
      description: "A session's visit ends after strictly more than this without an event. It changes what a visit is",
    }),
  questdb: questdb.default("managed").meta({
    description: "The warehouse: a child process of ours (`managed`), an external one by URL, or `off` (live answers only)",
  }),
  questdbHttpPort: integer(1, 65_535).default(9_000).meta({ description: "HTTP and console port of the managed QuestDB" }),
  questdbPgPort: integer(1, 65_535).default(8_812).meta({ description: "PostgreSQL wire port of the QuestDB in use" }),
  questdbJar: text("must be a file").optional().meta({
    description: "A QuestDB jar to use in place of the one that is fetched and checked by its hash",
    defaultText: "fetched",
  }),
  mavenUrl: z
    .url({ protocol: /^https?$/, error: "must be an http(s) URL" })
    .optional()
    .meta({
      description: "The Maven repository to fetch the jar from",
      defaultText: "Maven Central",
    }),
  cacheDir: text("must be a folder").default("./.cache").meta({ description: "Where fetched files are kept" }),
  warehouseFlushRows: integer(1, limits.warehouseRowsPerRequestMax).default(1_000).meta({
    description: "Rows that make a request to the warehouse. Higher moves more rows a second and sends them later",
  }),
  warehouseFlushMs: integer(10, limits.warehouseFlushMsMax).default(1_000).meta({
    description: "The longest that a row waits for its request. Lower shows rows sooner in more, smaller requests",
  }),
  journalRetentionMs: integer(0, 90 * DAY_MS)
    .default(HOUR_MS)
    .meta({
      description: "For how long journal records stay after the warehouse has them; they serve audits and repairs. Takes disk",
    }),
  warehouseSafetyTailMs: integer(0, 90 * DAY_MS)
    .default(HOUR_MS)
    .meta({
      description:
        "How far back rows are sent again after a restart of QuestDB that may have lost some; 0: not at all. Needs as much `journalRetentionMs`",
    }),
  exportRetentionMs: integer(MINUTE_MS, 3_650 * DAY_MS)
    .default(7 * DAY_MS)
    .meta({
      description: "For how long files of export jobs stay. Longer takes disk",
    }),
  eventsTtlDays: integer(0, 36_500).default(0).meta({
    description: "Days that raw events stay in the warehouse; 0 keeps them for ever",
  }),
  logLevel: z
    .enum(logLevels, { error: `must be one of ${logLevels.join(", ")}` })
    .default("info")
    .meta({
      description: "The least severe lines to log",
    }),
  drainTimeoutMs: integer(0, 10 * MINUTE_MS)
    .default(10_000)
    .meta({
      description: "How long a stopping server waits for outstanding frames and requests",
    }),
};

const configSchema = z.strictObject(settings).transform((config, context) => {
  const paneRetentionMs = config.paneRetentionMs ?? config.allowedLatenessMs;
  const refuse = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  if (paneRetentionMs < config.allowedLatenessMs) refuse("paneRetentionMs", "must be at least allowedLatenessMs");
  if (config.paneFineRetentionMs > config.paneMinuteRetentionMs) {
    refuse("paneFineRetentionMs", "must be at most paneMinuteRetentionMs");
  }
  if (config.tlsCert === undefined && config.tlsKey !== undefined) refuse("tlsCert", "must be given with tlsKey");
  if (config.tlsKey === undefined && config.tlsCert !== undefined) refuse("tlsKey", "must be given with tlsCert");
  return { ...config, paneRetentionMs };
});

export type Config = z.output<typeof configSchema>;
export type SettingName = keyof typeof settings;

/** Variables of the command line client, which may stand in the same environment. */
const clientVariables: ReadonlySet<string> = new Set(["WEIR_URL", "WEIR_KEY", "WEIR_KEY_FILE", "WEIR_CA"]);
const variablePrefix = "WEIR_";

/** `flags` by camel-case name (`snapshotEveryMs`); undefined means not given. Throws WEIR_CONFIG_INVALID with the path. */
export function parseConfig(sources: {
  flags?: Readonly<Record<string, unknown>>;
  env?: Readonly<Record<string, string | undefined>>;
}): Config {
  const given: Record<string, unknown> = {};
  for (const [variable, value] of Object.entries(sources.env ?? {})) {
    if (value === undefined || !variable.startsWith(variablePrefix) || clientVariables.has(variable)) continue;
    const name = settingOfVariable.get(variable);
    if (name === undefined) throw new WeirError("WEIR_CONFIG_INVALID", `\`${variable}\` is not a setting.`, { path: variable });
    given[name] = value;
  }
  for (const [name, value] of Object.entries(sources.flags ?? {})) {
    if (value === undefined) continue;
    if (!Object.hasOwn(settings, name)) {
      throw new WeirError("WEIR_CONFIG_INVALID", `\`${name}\` is not a setting.`, { path: name });
    }
    given[name] = value;
  }
  return parseWith(configSchema, given, "WEIR_CONFIG_INVALID");
}

export interface SettingDescription {
  readonly name: SettingName;
  readonly flag: string;
  readonly env: string;
  readonly default: string;
  readonly description: string;
}

/** One row for each setting, in the order of the schema. */
export function describeConfig(): readonly SettingDescription[] {
  return settingNames.map((name) => {
    const meta = settings[name].meta() ?? {};
    const defaultText = meta["defaultText"];
    return {
      name,
      flag: `--${words(name).join("-")}`,
      env: variableOf(name),
      default: typeof defaultText === "string" ? defaultText : String(settings[name].parse(undefined)),
      description: meta.description ?? "",
    };
  });
}

const settingNames = Object.keys(settings) as SettingName[];
const settingOfVariable = new Map(settingNames.map((name) => [variableOf(name), name]));

function variableOf(name: string): string {
  return variablePrefix + words(name).join("_").toUpperCase();
}

function words(name: string): string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase());
}
