/**
 * The log: JSON lines by pino. Messages are constant texts, data are fields. Keys and payloads are never logged; two
 * more lines of defence stand behind that: fields whose names say that they hold a key, and texts that look like one of ours.
 */
import { pino, type DestinationStream, type Logger } from "pino";
import { keyPattern } from "../storage/api-key.ts";

export type Log = Logger;
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const REDACTED = "[redacted]";
const secretFields = ["key", "authorization"].flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

export function createLog(options: { level: LogLevel; destination?: DestinationStream }): Log {
  const settings = {
    level: options.level,
    base: { service: "weir" },
    redact: { paths: secretFields, censor: REDACTED },
    hooks: { streamWrite: (line: string) => line.replaceAll(keyPattern, REDACTED) },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
