/**
 * One HTTP request from its head to its reply: route, authenticate, read the body, call the handler, answer. Whatever is
 * thrown on the way ends in a coded reply. All that is needed of uWS's request is read before the first await: it is gone
 * after the callback. The gateway registers `serve` for every path.
 */
import { randomBytes } from "node:crypto";
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { WeirError } from "../protocol/error-codes.ts";
import type { Admission } from "./admission.ts";
import { ownerOfHeader, requireScope } from "./authenticate.ts";
import { HttpReply } from "./http-reply.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { codedError, problemHeaders, problemOf } from "./problem.ts";
import { bodyHead, collectBody, decodeBody, hasAmbiguousLength, Reservation } from "./request-body.ts";
import { matchPath, type ApiReply, type Route } from "./route.ts";
import type { Control, KeyOwner, Scope } from "./services.ts";

export interface HttpServices {
  readonly admission: Admission;
  readonly control: Control;
  readonly metrics: GatewayMetrics;
  readonly log: Log;
  now(): number;
  /** Called when no request is open any more. */
  idle(): void;
}

/** The label of requests that no route has: a label must not grow with the input. */
const NO_ROUTE = "none";
const knownMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "DELETE", "OPTIONS"]);

const NO_BODY = new Uint8Array(0);

interface Found {
  readonly route: Route;
  readonly parameter: string;
}

interface FailOptions {
  /** Ends the connection behind the answer. */
  readonly close?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Exchange {
  readonly reply: HttpReply;
  /** Given back when the reply is over. */
  readonly reservation: Reservation;
  readonly method: string;
  readonly requestId: string;
  readonly startedMs: number;
  readonly route: Route | undefined;
}

export class HttpApi {
  readonly #services: HttpServices;
  readonly #routes: readonly Route[];
  /** Tells the requests of one process from those of another in a log. */
  readonly #idPrefix = randomBytes(4).toString("hex");
  #requests = 0;
  #open = 0;

  constructor(services: HttpServices, routes: readonly Route[]) {
    this.#services = services;
    this.#routes = routes;
  }

  get open(): number {
    return this.#open;
  }

  /** The uWS callback for every path. */
  serve(response: HttpResponse, request: HttpRequest): void {
    const method = request.getMethod().toUpperCase();
    const path = request.getUrl();
    const found = this.#find(method, path);
    const exchange = this.#begin(response, method, found?.route);
    try {
      if (hasAmbiguousLength(request)) this.#fail(exchange, ambiguousLength(), { close: true });
      else if (found !== undefined) this.#run(found, exchange, response, request);
      else this.#send(exchange, this.#unrouted(method, path, exchange.requestId));
    } catch (thrown) {
      this.#fail(exchange, thrown);
    }
  }

  /** Answers a request that is no use going on with, such as an upgrade without a valid key. */
  refuse(response: HttpResponse, thrown: unknown, options: FailOptions = {}): void {
    this.#fail(this.#begin(response, "GET", undefined), thrown, options);
  }

  #begin(response: HttpResponse, method: string, route: Route | undefined): Exchange {
    const reply = new HttpReply(response, method === "HEAD");
    const reservation = new Reservation(this.#services.admission);
    this.#open++;
    reply.whenOver(() => {
      reservation.release();
      this.#open--;
      if (this.#open === 0) this.#services.idle();
    });
    const requestId = `${this.#idPrefix}-${(++this.#requests).toString(36)}`;
    return { reply, reservation, method, requestId, startedMs: this.#services.now(), route };
  }

  #find(method: string, path: string): Found | undefined {
    const wanted = method === "HEAD" ? "GET" : method;
    for (const route of this.#routes) {
      if (route.method !== wanted) continue;
      const parameter = matchPath(route, path);
      if (parameter !== undefined) return { route, parameter };
    }
    return undefined;
  }

  #unrouted(method: string, path: string, requestId: string): ApiReply {
    const methods = this.#routes.filter((route) => matchPath(route, path) !== undefined).map((route) => route.method);
    if (methods.length === 0) throw new WeirError("WEIR_HTTP_NOT_FOUND");
    const allowed = methods.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : [each]));
    const headers = { Allow: [...allowed, "OPTIONS"].join(", ") };
    if (method === "OPTIONS") return { status: 204, headers };
    this.#services.metrics.refusal("WEIR_HTTP_METHOD");
    const problem = problemOf(new WeirError("WEIR_HTTP_METHOD"), requestId);
    return { status: problem.status, body: problem, contentType: "application/problem+json", headers };
  }

  /** The part that must happen inside the callback; the rest goes on by itself. */
  #run({ route, parameter }: Found, exchange: Exchange, response: HttpResponse, request: HttpRequest): void {
    const owner = route.scope === "none" ? undefined : this.#ownerOf(request, route.scope);
    const { reservation, requestId } = exchange;
    const head = route.body === undefined ? undefined : bodyHead(request, route.body.types);
    const bytesMax = route.body?.bytesMax ?? 0;
    const raw = head === undefined ? undefined : collectBody(response, head, bytesMax, reservation);
    const query = new URLSearchParams(request.getQuery() ?? "");
    const answer = async (): Promise<ApiReply> => {
      const bytes = raw === undefined ? undefined : await raw;
      if (bytes !== undefined) this.#services.metrics.body("in", bytes.length);
      const body = bytes === undefined || head === undefined ? NO_BODY : await decodeBody(bytes, head, bytesMax, reservation);
      const apiRequest = { parameter, query, body, bodyType: head?.type ?? "", requestId };
      if (route.scope === "none") return route.handle(apiRequest);
      if (owner === undefined) throw new WeirError("WEIR_AUTH_KEY_MISSING");
      return route.handle({ ...apiRequest, owner });
    };
    answer().then(
      (reply) => this.#send(exchange, reply),
      (thrown: unknown) => this.#fail(exchange, thrown),
    );
  }

  #ownerOf(request: HttpRequest, scope: Scope): KeyOwner {
    const owner = ownerOfHeader(this.#services.control, request.getHeader("authorization"));
    if (owner === undefined) throw new WeirError("WEIR_AUTH_KEY_MISSING");
    requireScope(owner, scope);
    this.#services.admission.refuseWhenDraining();
    return owner;
  }

  #fail(exchange: Exchange, thrown: unknown, options: FailOptions = {}): void {
    const { error, unexpected } = codedError(thrown);
    this.#services.metrics.refusal(error.code);
    if (unexpected) {
      const { requestId, route } = exchange;
      this.#services.log.error({ err: error.cause ?? error, requestId, route: route?.path }, "request failed");
    }
    const problem = problemOf(error, exchange.requestId, exchange.route?.detail);
    const headers = { ...problemHeaders(problem), ...options.headers };
    const answer = { status: problem.status, body: problem, contentType: "application/problem+json", headers };
    this.#send(exchange, answer, options);
  }

  #send(exchange: Exchange, answer: ApiReply, options: { close?: boolean } = {}): void {
    const { reply, method, requestId, startedMs, route } = exchange;
    const { admission, metrics, now } = this.#services;
    // The rest of a body that is too large may still come, and a draining server wants no next request.
    const close = options.close === true || answer.status === 413 || admission.draining;
    const bytes = reply.send(answer, requestId, { close });
    metrics.body("out", bytes);
    metrics.request(knownMethods.has(method) ? method : "other", route?.path ?? NO_ROUTE, answer.status, now() - startedMs);
  }
}

export function ambiguousLength(): WeirError {
  return new WeirError("WEIR_FRAME_MALFORMED", "The length of the body is ambiguous.", { path: "content-length" });
}
