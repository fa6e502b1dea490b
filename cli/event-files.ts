/**
 * Files of events, one JSON object a line, plain or gzip, or stdin as `-`. Lines that are not events are reported by number
 * and left out; a file that cannot be read throws WEIR_FILE_INVALID.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { createGunzip } from "node:zlib";
import type { EventInput } from "../client/index.ts";
import { WeirError } from "../protocol/error-codes.ts";
import { DAY_MS } from "../protocol/windows.ts";

/** A longer line cannot be an event: it is refused before it fills the memory. */
const LINE_CHARACTERS_MAX = 4 * 1024 * 1024;

export interface EventLine {
  readonly number: number;
  readonly event: EventInput | undefined;
  /** Why the line is not an event. */
  readonly problem: string | undefined;
  /** Bytes of the file, as it lies on the disk, that were read so far. */
  readonly bytesRead: number;
}

export async function* readEventFile(file: string): AsyncGenerator<EventLine> {
  let number = 0;
  for await (const { text, bytesRead } of readLines(file)) {
    number++;
    if (text.trim() === "") continue;
    yield { number, bytesRead, ...parseLine(text) };
  }
}

async function* readLines(file: string): AsyncGenerator<{ text: string; bytesRead: number }> {
  const source = file === "-" ? process.stdin : createReadStream(file);
  let bytesRead = 0;
  source.on("data", (chunk: Buffer | string) => (bytesRead += chunk.length));
  const bytes: AsyncIterable<Buffer> = file.endsWith(".gz") ? unzip(source) : source;
  const decoder = new StringDecoder("utf8");
  let rest = "";
  try {
    for await (const chunk of bytes) {
      const lines = (rest + decoder.write(chunk)).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_CHARACTERS_MAX) throw new Error(`a line is longer than ${LINE_CHARACTERS_MAX} characters`);
      for (const text of lines) yield { text, bytesRead };
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WeirError("WEIR_FILE_INVALID", reason, { path: file, cause });
  }
  rest += decoder.end();
  if (rest !== "") yield { text: rest, bytesRead };
}

function unzip(source: NodeJS.ReadableStream): AsyncIterable<Buffer> {
  const gunzip = createGunzip();
  source.on("error", (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}

function parseLine(text: string): { event: EventInput | undefined; problem: string | undefined } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return { event: value as EventInput, problem: undefined };
    }
    return { event: undefined, problem: "not a JSON object" };
  } catch (cause) {
    return { event: undefined, problem: cause instanceof Error ? cause.message : String(cause) };
  }
}

export function eventTimeOf(event: EventInput): number | undefined {
  const { timestamp } = event;
  const timeMs =
    typeof timestamp === "string" ? Date.parse(timestamp) : timestamp instanceof Date ? timestamp.getTime() : timestamp;
  return timeMs !== undefined && Number.isFinite(timeMs) ? timeMs : undefined;
}

/** The most whole days by which every event of the files can move and still lie in the past. */
export async function daysUntilNow(files: readonly string[], nowMs: number): Promise<number> {
  let lastMs = -Infinity;
  for (const file of files) {
    for await (const { event } of readEventFile(file)) {
      const timeMs = event === undefined ? undefined : eventTimeOf(event);
      if (timeMs !== undefined && timeMs > lastMs) lastMs = timeMs;
    }
  }
  return lastMs === -Infinity ? 0 : Math.floor((nowMs - lastMs) / DAY_MS);
}

/** Times of day stay as they are; an event without a usable time is left alone. */
export function shiftDays(event: EventInput, days: number): EventInput {
  const timeMs = days === 0 ? undefined : eventTimeOf(event);
  return timeMs === undefined ? event : { ...event, timestamp: timeMs + days * DAY_MS };
}

/** Bytes on disk of all files; undefined when one is stdin. */
export async function totalBytes(files: readonly string[]): Promise<number | undefined> {
  if (files.includes("-")) return undefined;
  let total = 0;
  for (const file of files) {
    try {
      total += (await stat(file)).size;
    } catch (cause) {
      throw new WeirError("WEIR_FILE_INVALID", cause instanceof Error ? cause.message : String(cause), { path: file, cause });
    }
  }
  return total;
}
