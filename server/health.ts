/**
 * `/healthz` says that the process lives, `/readyz` that it can keep its promises. Without a warehouse events are still
 * taken and nothing is lost, so that degrades and answers 200. So does a host that is down and is being opened again while
 * others serve: what is for it is refused, and sent again. With none that serves, or one that does not come back, it is 503.
 */
import { z } from "zod";
import type { Route } from "./route.ts";
import type { Readiness } from "./services.ts";

const readinessStates = ["ready", "degraded", "starting", "draining", "failed"] as const;
export type ReadinessState = (typeof readinessStates)[number];

const readyAnswer = z.object({
  status: z.enum(readinessStates),
  journal: z.enum(["ready", "starting", "failed", "full"]),
  hosts: z.array(
    z.object({
      host: z.int(),
      state: z.enum(["starting", "running", "failed", "stopped"]),
      restarts: z.int().optional(),
      failuresInARow: z.int().optional(),
      lastError: z.string().nullable().optional(),
      nextAttempt: z.iso.datetime().nullable().optional(),
    }),
  ),
  warehouse: z.enum(["ready", "pending", "off"]),
  tables: z
    .array(z.object({ table: z.string(), suspended: z.boolean(), lagTransactions: z.int(), error: z.string().nullable() }))
    .optional(),
});
export type ReadyAnswer = z.output<typeof readyAnswer>;

export function readyAnswerOf(readiness: Readiness): ReadyAnswer {
  const journal = journalState(readiness);
  return {
    status: stateOf(readiness, journal),
    journal,
    hosts: hostsOf(readiness),
    warehouse: readiness.warehouse,
    ...(readiness.tables === undefined
      ? {}
      : { tables: readiness.tables.map((each) => ({ ...each, error: each.error ?? null })) }),
  };
}

function hostsOf({ hosts, supervision }: Readiness): ReadyAnswer["hosts"] {
  if (supervision === undefined) return hosts.map(({ host, state }) => ({ host, state }));
  return supervision.map(({ host, state, restarts, failures, lastError, nextAttemptMs }) => {
    const nextAttempt = nextAttemptMs === null ? null : new Date(nextAttemptMs).toISOString();
    return { host, state, restarts, failuresInARow: failures, lastError, nextAttempt };
  });
}

/** A host's journal is ready exactly when the host runs and the disk has room. */
function journalState(readiness: Readiness): ReadyAnswer["journal"] {
  const states = hostsOf(readiness).map(({ state }) => state);
  if (states.some((state) => state === "failed" || state === "stopped")) return "failed";
  if (states.length === 0 || states.includes("starting")) return "starting";
  return readiness.diskFull === true ? "full" : "ready";
}

function stateOf(readiness: Readiness, journal: ReadyAnswer["journal"]): ReadinessState {
  if (readiness.draining) return "draining";
  if (journal === "full" || readiness.diskFull === true) return "failed";
  if (journal !== "ready") return othersServe(readiness) ? "degraded" : journal;
  const isStuck = readiness.tables?.some(({ suspended }) => suspended) ?? false;
  return readiness.warehouse === "pending" || isStuck ? "degraded" : "ready";
}

/** A host is down, is about to come back, and is not the only one. */
function othersServe({ supervision = [] }: Readiness): boolean {
  const isGone = supervision.some(({ state, gaveUp }) => state === "stopped" || gaveUp);
  const hasFailed = supervision.some(({ failures }) => failures > 0);
  return hasFailed && !isGone && supervision.some(({ state }) => state === "running");
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
        200: { description: "Ready, or degraded (the warehouse is away, or one of several hosts)", schema: readyAnswer },
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
