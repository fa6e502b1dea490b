/**
 * `/v1/metrics-catalog`: which metrics a tenant has. A definition is stored first and then written to every host's
 * journal; the request is answered when events published later are sure to be seen by it. If the process dies between the
 * two, the next start defines what is stored.
 */
import { z } from "zod";
import { WeirError } from "../../protocol/error-codes.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { metricDefinition, type MetricDefinition } from "../../protocol/metric-definition.ts";
import type { LiveData } from "../../workers/ports.ts";
import { entryCodes, parseJson, parseWith, type Route } from "../route.ts";
import type { Control, DescribeMetric } from "../services.ts";

const catalogEntry = metricDefinition.and(z.object({ outputs: z.array(z.string()), bounds: z.record(z.string(), z.unknown()) }));

export interface CatalogServices {
  readonly control: Control;
  readonly liveData: LiveData;
  readonly describeMetric: DescribeMetric;
  now(): number;
}

export function catalogRoutes({ control, liveData, describeMetric, now }: CatalogServices): Route[] {
  const entryOf = (definition: MetricDefinition) => ({ ...definition, ...describeMetric(definition) });
  const defineAll = (tenant: TenantId) => liveData.define(tenant, control.metrics(tenant));
  const path = "/v1/metrics-catalog";
  return [
    {
      method: "GET",
      path,
      scope: "read",
      summary: "The tenant's metrics",
      answers: {
        200: { description: "Definitions, with their outputs and bounds", schema: z.object({ metrics: z.array(catalogEntry) }) },
      },
      errors: [],
      handle: ({ owner }) => ({ status: 200, body: { metrics: control.metrics(owner.tenant).map(entryOf) } }),
    },
    {
      method: "POST",
      path,
      scope: "admin",
      summary: "Defines a metric; it counts events from now on",
      body: { bytesMax: limits.queryBodyBytesMax, types: ["application/json"], schema: metricDefinition },
      answers: {
        200: { description: "The same definition was there", schema: catalogEntry },
        201: { description: "The definition as stored", schema: catalogEntry },
      },
      errors: [...entryCodes.body, "WEIR_METRIC_INVALID", "WEIR_METRIC_EXISTS", "WEIR_METRIC_LIMIT", "WEIR_HOST_FAILED"],
      async handle({ owner, author, body }) {
        const definition = parseWith(metricDefinition, parseJson(body, "WEIR_METRIC_INVALID"), "WEIR_METRIC_INVALID");
        const outcome = await control.putMetric(owner.tenant, definition, { ...author, atMs: now() });
        // Also when unchanged: the request before may have died between the two steps.
        await defineAll(owner.tenant);
        return { status: outcome === "created" ? 201 : 200, body: entryOf(definition) };
      },
    },
    {
      method: "DELETE",
      path: `${path}/{name}`,
      scope: "admin",
      summary: "Removes a metric and its panes",
      parameters: [{ name: "name", in: "path", required: true, description: "The metric's name", schema: z.string() }],
      answers: { 204: { description: "It is gone" } },
      errors: ["WEIR_METRIC_UNKNOWN", "WEIR_HOST_FAILED"],
      async handle({ owner, author, parameter }) {
        if (!(await control.removeMetric(owner.tenant, parameter, { ...author, atMs: now() }))) {
          throw new WeirError("WEIR_METRIC_UNKNOWN", undefined, { path: "name" });
        }
        await defineAll(owner.tenant);
        return { status: 204 };
      },
    },
  ];
}
