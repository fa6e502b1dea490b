/**
 * `/openapi.json`: OpenAPI 3.1, made from the list of routes that the gateway serves, their zod schemas, and the table of
 * errors. Errors are listed by HTTP status; each names the codes that stand behind it.
 */
import { z } from "zod";
import { entryOf, type ErrorCode } from "../protocol/error-codes.ts";
import { entryCodes, type Route } from "./route.ts";

type Json = { [key: string]: unknown };

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    retryable: z.boolean(),
    path: z.string().optional(),
    requestId: z.string(),
  })
  .meta({ description: "RFC 9457 problem details" });

export function openApiDocument(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const operations = (paths[route.path] ??= {});
    operations[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Weir",
      version,
      description: "Real-time aggregation of analytics events. Streams go over the WebSocket at /v1/stream.",
    },
    paths,
    components: {
      schemas: { Problem: jsonSchema(problemSchema, "output") },
      securitySchemes: { key: { type: "http", scheme: "bearer", description: "An API key: `weir_<tenant>_<secret>`" } },
    },
  };
}

function operationOf(route: Route): Json {
  const body = route.body;
  return {
    summary: route.summary,
    security: route.scope === "none" ? [] : [{ key: [route.scope] }],
    ...(route.parameters === undefined ? {} : { parameters: route.parameters.map(parameterOf) }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body.types, body.schema, "input") } }),
    responses: { ...answersOf(route), ...errorsOf(route) },
  };
}

function parameterOf({ name, in: place, required, description, schema }: NonNullable<Route["parameters"]>[number]): Json {
  return { name, in: place, required, description, schema: jsonSchema(schema, "input") };
}

function answersOf({ answers }: Route): Json {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, schema, type }]) => {
      if (schema === undefined && type === undefined) return [status, { description }];
      const content = contentOf([type ?? "application/json"], schema ?? z.string(), "output");
      return [status, { description, content }];
    }),
  );
}

/** Every coded error of the route, under its status. A status that is also an answer keeps the answer's entry. */
function errorsOf(route: Route): Json {
  const codesByStatus = new Map<number, ErrorCode[]>();
  const auth = route.scope === "none" ? [] : entryCodes.auth;
  for (const code of new Set<ErrorCode>([...route.errors, ...auth, ...entryCodes.all])) {
    const { status } = entryOf(code);
    codesByStatus.set(status, [...(codesByStatus.get(status) ?? []), code]);
  }
  const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  return Object.fromEntries(
    [...codesByStatus]
      .filter(([status]) => !Object.hasOwn(route.answers, status))
      .map(([status, codes]) => [String(status), { description: codes.join(", "), content }]),
  );
}

function contentOf(types: readonly string[], schema: z.ZodType, io: "input" | "output"): Json {
  const json = { schema: jsonSchema(schema, io) };
  return Object.fromEntries(types.map((type) => [type, type.includes("ndjson") ? { schema: { type: "string" } } : json]));
}

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Json {
  // Transforms have no JSON Schema on their output side; what such a field holds is then left open.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
