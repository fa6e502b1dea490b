/**
 * From plain inputs to warehouse rows: one cell for each column of `tables.ts`, in its order. Pure; equal inputs make
 * equal rows, so a replay writes the same row again. Texts are cells as they are: the encoder escapes them.
 */
import type { TenantId } from "../../protocol/ids.ts";
import { assert } from "../../protocol/assert.ts";
import { knownFields } from "../../protocol/event.ts";
import { limits } from "../../protocol/limits.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../protocol/windows.ts";
import type { DimensionValue } from "../../protocol/metric-definition.ts";
import type { WarehouseRow } from "../ports.ts";

export interface EventRowInput {
  readonly tenant: TenantId;
  /** A decoded event that was accepted. */
  readonly event: unknown;
  readonly eventTimeMs: number;
  readonly ingestTimeMs: number;
  readonly partition: number;
  readonly host: number;
  readonly offset: number;
  readonly index: number;
}

export function eventRow(input: EventRowInput): WarehouseRow {
  const event = mapOf(input.event);
  const context = mapOf(event["context"]);
  const location = mapOf(context["location"]);
  return [
    input.eventTimeMs,
    input.tenant,
    textOf(event["eventId"]),
    textOf(event["sessionId"]),
    textOf(event["userId"]),
    textOf(event["eventType"]),
    textOf(event["eventCategory"]),
    textOf(event["source"]),
    textOf(event["version"]),
    textOf(event["environment"]),
    symbolOf(context["deviceType"]),
    symbolOf(context["platform"]),
    symbolOf(location["country"]),
    symbolOf(location["region"]),
    textOf(context["userAgent"]),
    textOf(context["ipAddress"]),
    textOf(context["referrer"]),
    JSON.stringify(event["properties"] ?? {}),
    JSON.stringify(context),
    unknownFields(event),
    modulo(Math.floor(input.eventTimeMs / HOUR_MS), 24),
    // 1970-01-01 was a Thursday.
    modulo(Math.floor(input.eventTimeMs / DAY_MS) + 4, 7),
    input.ingestTimeMs,
    input.partition,
    input.host,
    input.offset,
    input.index,
  ];
}

/** A finished output as the aggregates give it: a number, null for "of nothing", or the entries of topK. */
export type OutputValue = number | null | readonly { readonly key: string; readonly count: number; readonly error: number }[];

export interface PaneRowInput {
  readonly tenant: TenantId;
  readonly metric: string;
  readonly paneMs: number;
  readonly startMs: number;
  readonly dimensions: readonly DimensionValue[];
  /** By output name: `count`, `distinct`, `p50`, ... */
  readonly outputs: Readonly<Record<string, OutputValue>>;
  readonly sketch: Uint8Array;
  readonly definitionVersion: number;
  readonly updatedMs: number;
}

export type PaneLabel = "1m" | "1h";

export function paneLabel(paneMs: number): PaneLabel {
  if (paneMs === MINUTE_MS) return "1m";
  assert(paneMs === HOUR_MS, "the warehouse holds panes of a minute and of an hour");
  return "1h";
}

export function paneRow(input: PaneRowInput): WarehouseRow {
  const { dimensions } = input;
  const numberOf = (name: string): number | null => {
    const value = input.outputs[name];
    return typeof value === "number" ? value : null;
  };
  const integerOf = (name: string): number | null => {
    const value = numberOf(name);
    return value === null ? null : Math.round(value);
  };
  const topK = input.outputs["topK"];
  return [
    input.startMs,
    input.tenant,
    input.metric,
    paneLabel(input.paneMs),
    JSON.stringify(dimensions),
    dimensions[0] ?? null,
    dimensions[1] ?? null,
    dimensions[2] ?? null,
    dimensions[3] ?? null,
    integerOf("count"),
    ...["rate", "sum", "min", "max", "mean"].map(numberOf),
    integerOf("distinct"),
    ...["p50", "p75", "p90", "p95", "p99"].map(numberOf),
    Array.isArray(topK) ? JSON.stringify(topK) : null,
    Buffer.from(input.sketch).toString("base64"),
    input.definitionVersion,
    input.updatedMs,
  ];
}

export interface SessionRowInput {
  readonly tenant: TenantId;
  readonly sessionId: string;
  readonly userId: string | null;
  readonly state: "open" | "closed" | "superseded";
  readonly startMs: number;
  readonly endMs: number;
  readonly events: number;
  readonly eventTypes: Readonly<Record<string, number>>;
  readonly updatedMs: number;
}

export function sessionRow(input: SessionRowInput): WarehouseRow {
  return [
    input.startMs,
    input.tenant,
    input.sessionId,
    input.userId,
    input.state,
    input.endMs,
    Math.round(input.endMs - input.startMs),
    input.events,
    JSON.stringify(input.eventTypes),
    input.updatedMs,
  ];
}

export interface DeadLetterRowInput {
  readonly tenant: TenantId;
  readonly ingestTimeMs: number;
  readonly host: number;
  readonly offset: number;
  readonly index: number;
  readonly code: string;
  readonly path: string | null;
  readonly eventId: string;
  /** JSON text; what is past 64 KiB is cut off. */
  readonly raw: string;
}

const RAW_BYTES_MAX = 64 * 1024;
const PATH_BYTES_MAX = 1024;

export function deadLetterRow(input: DeadLetterRowInput): WarehouseRow {
  return [
    input.ingestTimeMs,
    input.tenant,
    input.host,
    input.offset,
    input.index,
    input.code,
    input.path === null ? null : cutText(input.path, PATH_BYTES_MAX),
    cutText(input.eventId, limits.identifierBytesMax),
    cutText(input.raw, RAW_BYTES_MAX),
  ];
}

/** The longest beginning that takes at most `bytesMax` bytes of UTF-8 and does not break a character. */
export function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  const bytes = Buffer.from(text.slice(0, bytesMax));
  let end = Math.min(bytesMax, bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

function mapOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Symbols are held in memory by QuestDB: a context field of any length must not become one. The JSON keeps it whole. */
function symbolOf(value: unknown): string | null {
  return typeof value === "string" ? cutText(value, limits.dimensionValueBytesMax) : null;
}

function unknownFields(event: Readonly<Record<string, unknown>>): string | null {
  let extra: [string, unknown][] | undefined;
  for (const key of Object.keys(event)) {
    if (knownFields.has(key) || event[key] === undefined) continue;
    (extra ??= []).push([key, event[key]]);
  }
  return extra === undefined ? null : JSON.stringify(Object.fromEntries(extra));
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
