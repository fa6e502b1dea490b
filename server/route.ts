/**
 * One HTTP route: what it needs, what it answers, and what answers it. The gateway serves a list of these and
 * `openapi.ts` describes the same list, so neither can know a route that the other does not.
 * Handlers never see a socket: they take a request and give a reply, or throw a WeirError.
 */
import type { z } from "zod";
import { WeirError, type ErrorCode } from "../protocol/error-codes.ts";
import type { Author } from "../storage/audit-log.ts";
import type { KeyOwner, Scope } from "./services.ts";

export interface ApiRequest {
  /** The part of the path that `{name}` stood for, decoded; empty when the route has none. */
  readonly parameter: string;
  readonly query: URLSearchParams;
  /** The whole body, inflated; empty when the route takes none. Valid as long as the handler wants it. */
  readonly body: Uint8Array;
  /** One of the route's `body.types`. */
  readonly bodyType: string;
  readonly requestId: string;
}

export interface OwnedRequest extends ApiRequest {
  readonly owner: KeyOwner;
  /** For the audit log. */
  readonly author: Author;
}

export interface ApiReply {
  readonly status: number;
  /** An object goes out as JSON, a text as it is. */
  readonly body?: object | string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface RouteDescription {
  readonly method: "GET" | "POST" | "DELETE";
  /** `{name}` may stand for the last segment. */
  readonly path: string;
  readonly summary: string;
  readonly body?: { readonly bytesMax: number; readonly types: readonly string[]; readonly schema: z.ZodType };
  readonly parameters?: readonly RouteParameter[];
  readonly answers: Readonly<
    Record<number, { readonly description: string; readonly schema?: z.ZodType; readonly type?: string }>
  >;
  /** Beside those of authentication, which follow from the scope. */
  readonly errors: readonly ErrorCode[];
  /** Rewrites the message of an error of this route. */
  readonly detail?: (message: string) => string;
}

export interface RouteParameter {
  readonly name: string;
  readonly in: "query" | "path";
  readonly description: string;
  readonly required: boolean;
  readonly schema: z.ZodType;
}

export type Route =
  | (RouteDescription & { readonly scope: Scope; handle(request: OwnedRequest): ApiReply | Promise<ApiReply> })
  | (RouteDescription & { readonly scope: "none"; handle(request: ApiRequest): ApiReply | Promise<ApiReply> });

/** Codes that whole kinds of routes share. */
export const entryCodes = {
  body: ["WEIR_FRAME_MALFORMED", "WEIR_FRAME_TOO_LARGE", "WEIR_BODY_TYPE_UNSUPPORTED", "WEIR_FLOW_OVERLOADED"],
  auth: [
    "WEIR_AUTH_KEY_MISSING",
    "WEIR_AUTH_KEY_UNKNOWN",
    "WEIR_AUTH_KEY_EXPIRED",
    "WEIR_AUTH_LOCKED_OUT",
    "WEIR_AUTH_SCOPE_MISSING",
  ],
  all: ["WEIR_INTERNAL", "WEIR_FLOW_DRAINING", "WEIR_AUTH_KEY_IN_URL"],
} as const satisfies Record<string, readonly ErrorCode[]>;

/** The part of a path that a route's `{name}` stands for; "" when it has none and matches; undefined when it does not. */
export function matchPath(route: { readonly path: string }, path: string): string | undefined {
  const brace = route.path.indexOf("{");
  if (brace === -1) return route.path === path ? "" : undefined;
  if (!path.startsWith(route.path.slice(0, brace))) return undefined;
  const rest = path.slice(brace);
  if (rest === "" || rest.includes("/")) return undefined;
  try {
    return decodeURIComponent(rest);
  } catch {
    return undefined;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

export function parseJson(body: Uint8Array, code: ErrorCode): unknown {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    // The parser's message quotes the body; it is not passed on.
    throw new WeirError(code, "The body is not JSON.", { path: "" });
  }
}

/** Checks a value by its schema. The error names the first thing that is wrong, as `filters[0].op`. */
export function parseWith<Schema extends z.ZodType>(schema: Schema, value: unknown, code: ErrorCode): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = firstIssue(parsed.error.issues);
  throw new WeirError(code, `${path === "" ? "The body" : `\`${path}\``}: ${message}`, { path });
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly code?: string | undefined;
  readonly keys?: readonly string[];
  readonly errors?: readonly (readonly Issue[])[];
}

/** Unions hide what is wrong in their branches: the branch that got furthest is the one that was meant. */
function firstIssue(issues: readonly Issue[], prefix: readonly PropertyKey[] = []): { path: string; message: string } {
  const [issue] = issues;
  if (issue === undefined) return { path: pathText(prefix), message: "not valid" };
  const path = [...prefix, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return { path: pathText([...path, ...(issue.keys ?? []).slice(0, 1)]), message: "no such field" };
  }
  let meant: readonly Issue[] | undefined;
  for (const branch of issue.errors ?? []) {
    if ((branch[0]?.path.length ?? 0) > (meant?.[0]?.path.length ?? 0)) meant = branch;
  }
  return meant === undefined ? { path: pathText(path), message: issue.message } : firstIssue(meant, path);
}

export function pathText(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}
