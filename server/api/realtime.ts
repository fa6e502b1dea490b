/** `GET /v1/realtime`: the present value of some metrics, for pollers. One consistent cut over all names. */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import { DEFAULT_WINDOW, isWindowName, windows, type WindowName } from "../../protocol/windows.ts";
import type { Admission } from "../admission.ts";
import type { Route } from "../route.ts";
import type { QueryService } from "../services.ts";
import { parseMetricReferences } from "./query.ts";

/** How often a poller should ask, in milliseconds. Who wants it sooner subscribes. */
const REFRESH_INTERVAL_MS = 30_000;

const realtimeAnswer = z.object({
  metrics: z.array(z.object({ name: z.string(), value: z.unknown(), timestamp: z.number() })),
  unknown: z.array(z.string()),
  timestamp: z.number(),
  refreshInterval: z.literal(REFRESH_INTERVAL_MS),
});

export function realtimeRoutes(services: { queryService: QueryService; admission: Admission }): Route[] {
  return [
    {
      method: "GET",
      path: "/v1/realtime",
      scope: "read",
      summary: "The present values of metrics, summed up over their dimensions",
      parameters: [
        {
          name: "names",
          in: "query",
          required: true,
          description: "`metric` or `metric.output`, separated by commas",
          schema: z.string(),
        },
        {
          name: "window",
          in: "query",
          required: false,
          description: "The window; default 5m",
          schema: z.enum(Object.keys(windows)),
        },
      ],
      answers: { 200: { description: "Values; null where the window has no data", schema: realtimeAnswer } },
      errors: ["WEIR_QUERY_INVALID", "WEIR_QUERY_AGGREGATE_UNKNOWN", "WEIR_QUERY_BUSY", "WEIR_HOST_FAILED"],
      async handle({ owner, query }) {
        const names = parseMetricReferences(query.get("names"), "names");
        const window = windowOf(query.get("window"));
        const answer = await services.admission.query(owner.tenant, () =>
          services.queryService.realtime(owner.tenant, names, window),
        );
        return { status: 200, body: { ...answer, refreshInterval: REFRESH_INTERVAL_MS } };
      },
    },
  ];
}

function windowOf(text: string | null): WindowName {
  if (text === null) return DEFAULT_WINDOW;
  if (isWindowName(text)) return text;
  throw new WeirError("WEIR_QUERY_INVALID", `A window is one of ${Object.keys(windows).join(", ")}.`, { path: "window" });
}
