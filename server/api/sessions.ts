/** `GET /v1/sessions/ID`: one session as the partition that owns it knows it. */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import type { LiveData } from "../../workers/ports.ts";
import type { Route } from "../route.ts";

const segment = z.object({
  startMs: z.number(),
  endMs: z.number(),
  durationMs: z.number(),
  events: z.int(),
  open: z.boolean(),
});

const sessionAnswer = z.object({
  sessionId: z.string(),
  userId: z.string().nullable(),
  events: z.int(),
  firstEventTimeMs: z.number(),
  lastEventTimeMs: z.number(),
  durationMs: z.number(),
  open: z.boolean(),
  eventTypes: z.record(z.string(), z.int()),
  segments: z.array(segment).meta({ description: "Separate visits: a new one begins after the session gap" }),
});

export function sessionRoutes({ liveData }: { liveData: LiveData }): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/sessions/{id}",
      scope: "read",
      summary: "One session",
      parameters: [{ name: "id", in: "path", required: true, description: "The sessionId, percent-encoded", schema: z.string() }],
      answers: { 200: { description: "The session", schema: sessionAnswer } },
      errors: ["WEIR_SESSION_UNKNOWN", "WEIR_HOST_FAILED"],
      async handle({ owner, parameter }) {
        const session = await liveData.session(owner.tenant, parameter);
        if (session === undefined) throw new WeirError("WEIR_SESSION_UNKNOWN", undefined, { path: "id" });
        return { status: 200, body: session };
      },
    },
  ];
}
