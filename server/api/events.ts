/**
 * `POST /v1/events`: hands the body's bytes to the partition hosts and answers when they are on disk, with a result for
 * every event. The body is not decoded here. Also what a committed frame answers, for both transports (`ackBodyOf`).
 */
import { z } from "zod";
import { entryOf, WeirError } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS, type FrameFormat } from "../../protocol/event-columns.ts";
import { limits } from "../../protocol/limits.ts";
import { ACCEPTED, codeOf, DUPLICATE, isDeadLetter } from "../../protocol/verdicts.ts";
import type { EventResult, Publisher, PublishOutcome } from "../../workers/ports.ts";
import type { GatewayMetrics } from "../metrics.ts";
import type { Receipts } from "../receipts.ts";
import { entryCodes, type Route } from "../route.ts";

const formatOfType = new Map<string, FrameFormat>([
  ["application/json", FRAME_FORMATS.json],
  ["application/x-ndjson", FRAME_FORMATS.ndjson],
  ["application/ndjson", FRAME_FORMATS.ndjson],
  ["application/msgpack", FRAME_FORMATS.msgpack],
  ["application/x-msgpack", FRAME_FORMATS.msgpack],
  ["application/vnd.msgpack", FRAME_FORMATS.msgpack],
]);

export type Committed = Extract<PublishOutcome, { kind: "committed" }>;

/** One event's result as clients see it. */
export interface ResultBody {
  readonly index: number;
  readonly eventId: string;
  readonly success: boolean;
  readonly duplicate?: true;
  readonly code?: string;
  readonly error?: string;
  readonly path?: string;
}

export function resultBodyOf({ index, eventId, verdict, path }: EventResult): ResultBody {
  const code = codeOf(verdict);
  if (code === undefined) return { index, eventId, success: true };
  return {
    index,
    eventId,
    success: !isDeadLetter(verdict),
    ...(verdict === DUPLICATE ? { duplicate: true as const } : {}),
    code,
    error: entryOf(code).message,
    ...(path === undefined ? {} : { path }),
  };
}

/** The part that acks and HTTP answers share. */
export function ackBodyOf(outcome: Committed) {
  const { totalEvents, failedEvents, receipt } = outcome;
  return { totalEvents, successfulEvents: totalEvents - failedEvents, failedEvents, receipt };
}

/** Counts a frame's events by verdict; those without a result were accepted. */
export function countEvents(metrics: GatewayMetrics, outcome: Committed): void {
  if (outcome.results.length === 0) {
    metrics.events("accepted", outcome.totalEvents);
    return;
  }
  let accepted = outcome.totalEvents;
  const others = new Map<string, number>();
  for (const { verdict } of outcome.results) {
    const code = codeOf(verdict);
    if (verdict === ACCEPTED || code === undefined) continue;
    accepted--;
    others.set(code, (others.get(code) ?? 0) + 1);
  }
  metrics.events("accepted", accepted);
  for (const [code, count] of others) metrics.events(code, count);
}

const eventInput = z
  .looseObject({
    eventId: z.string(),
    sessionId: z.string(),
    userId: z.string().optional(),
    eventType: z.string(),
    eventCategory: z.string(),
    timestamp: z.union([z.string(), z.number()]),
    properties: z.record(z.string(), z.unknown()),
    context: z.looseObject({
      userAgent: z.string(),
      ipAddress: z.string(),
      deviceType: z.string(),
      platform: z.string(),
      location: z.looseObject({ country: z.string(), region: z.string() }).partial().optional(),
      referrer: z.string().optional(),
    }),
    source: z.string(),
    version: z.string(),
    environment: z.string(),
  })
  .meta({ description: "An event; each is checked by itself and gets its own result" });
const eventsInput = z.union([z.object({ events: z.array(eventInput) }), z.array(eventInput), eventInput]);

const eventsAnswer = z.object({
  totalEvents: z.int(),
  successfulEvents: z.int(),
  failedEvents: z.int(),
  receipt: z.string().meta({ description: "`host:offset`, several joined by a comma" }),
  proof: z.string().meta({ description: "The receipt in a form that `/v1/receipts/verify` can tell from a forged one" }),
  results: z.array(
    z.object({
      index: z.int(),
      eventId: z.string(),
      success: z.boolean(),
      duplicate: z.boolean().optional(),
      code: z.string().optional(),
      error: z.string().optional(),
      path: z.string().optional(),
    }),
  ),
});

export function eventsRoutes(services: {
  publisher: Publisher;
  metrics: GatewayMetrics;
  receipts: Receipts;
  now: () => number;
}): Route[] {
  return [
    {
      method: "POST",
      path: "/v1/events",
      scope: "write",
      summary: "Takes one event, a list, or `{events}`; answers when they are on disk",
      body: { bytesMax: limits.requestBodyBytesMax, types: [...formatOfType.keys()], schema: eventsInput },
      answers: { 200: { description: "A result for every event, in input order", schema: eventsAnswer } },
      errors: [
        ...entryCodes.body,
        "WEIR_FRAME_TOO_MANY_EVENTS",
        "WEIR_FRAME_POISONED",
        "WEIR_TENANT_STATE_FULL",
        "WEIR_HOST_FAILED",
      ],
      async handle({ owner, body, bodyType }) {
        const startedMs = services.now();
        const format = formatOfType.get(bodyType) ?? FRAME_FORMATS.json;
        const outcome = await publishOnce(services.publisher, { tenant: owner.tenant, format, bytes: body, allResults: true });
        services.metrics.published("http", services.now() - startedMs);
        countEvents(services.metrics, outcome);
        return {
          status: 200,
          body: {
            ...ackBodyOf(outcome),
            proof: services.receipts.proofOf(owner.tenant, outcome),
            results: outcome.results.map(resultBodyOf),
          },
        };
      },
    },
  ];
}

function publishOnce(publisher: Publisher, request: Parameters<Publisher["publish"]>[0]): Promise<Committed> {
  return new Promise((resolve, reject) => {
    publisher.publish(request, (outcome) => {
      if (outcome.kind === "committed") resolve(outcome);
      else reject(refusalOf(outcome));
    });
  });
}

export function refusalOf(outcome: Extract<PublishOutcome, { kind: "refused" }>): WeirError {
  const { code, detail, path, retryAfterMs } = outcome;
  return new WeirError(code, detail, {
    ...(path !== undefined && { path }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}
