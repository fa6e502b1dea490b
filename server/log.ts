/**
 * The log: JSON lines by pino. Messages are constant texts, data are fields. Keys and payloads are never logged; the
 * redaction is the second line of defence, for a field that should not have been there.
 */
import { pino, type DestinationStream, type Logger } from "pino";

export type Log = Logger;
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export function createLog(options: { level: LogLevel; destination?: DestinationStream }): Log {
  const settings = {
    level: options.level,
    base: { service: "weir" },
    redact: { paths: ["key", "authorization", "*.key", "*.authorization"], censor: "[redacted]" },
  };
  return options.destination === undefined ? pino(settings) : pino(settings, options.destination);
}
