/**
 * `/healthz` says that the process lives, `/readyz` that it can keep its promises. Without a warehouse events are still
 * taken and nothing is lost, so that degrades and answers 200; without a host or a journal it answers 503.
 */
import { z } from "zod";
import type { Route } from "./route.ts";
import type { Readiness } from "./services.ts";

const readinessStates = ["ready", "degraded", "starting", "draining", "failed"] as const;
export type ReadinessState = (typeof readinessStates)[number];

const readyAnswer = z.object({
  status: z.enum(readinessStates),
  journal: z.enum(["ready", "starting", "failed"]),
  hosts: z.array(z.object({ host: z.int(), state: z.enum(["starting", "running", "failed", "stopped"]) })),
  warehouse: z.enum(["ready", "pending", "off"]),
});
export type ReadyAnswer = z.output<typeof readyAnswer>;

export function readyAnswerOf(readiness: Readiness): ReadyAnswer {
  const journal = journalState(readiness);
  return {
    status: stateOf(readiness, journal),
    journal,
    hosts: readiness.hosts.map(({ host, state }) => ({ host, state })),
    warehouse: readiness.warehouse,
  };
}

/** A host's journal is ready exactly when the host runs. */
function journalState({ hosts }: Readiness): ReadyAnswer["journal"] {
  if (hosts.some((each) => each.state === "failed" || each.state === "stopped")) return "failed";
  return hosts.length === 0 || hosts.some((each) => each.state === "starting") ? "starting" : "ready";
}

function stateOf(readiness: Readiness, journal: ReadyAnswer["journal"]): ReadinessState {
  if (readiness.draining) return "draining";
  if (journal !== "ready") return journal;
  return readiness.warehouse === "pending" ? "degraded" : "ready";
}

export function healthRoutes(readiness: () => Readiness): Route[] {
  return [
    {
      method: "GET",
      path: "/healthz",
      scope: "none",
      summary: "Tells that the process lives",
      answers: { 200: { description: "It lives", schema: z.object({ status: z.literal("ok") }) } },
      errors: [],
      handle: () => ({ status: 200, body: { status: "ok" } }),
    },
    {
      method: "GET",
      path: "/readyz",
      scope: "none",
      summary: "Tells whether the server can do its work",
      answers: {
        200: { description: "Ready, or degraded (the warehouse is away)", schema: readyAnswer },
        503: { description: "Starting, draining or failed", schema: readyAnswer },
      },
      errors: [],
      handle() {
        const body = readyAnswerOf(readiness());
        const ok = body.status === "ready" || body.status === "degraded";
        return ok ? { status: 200, body } : { status: 503, body, headers: { "Retry-After": "1" } };
      },
    },
  ];
}
