/**
 * One HTTP request from its head to its reply: route, authenticate, read the body, call the handler, answer. Whatever is
 * thrown on the way ends in a coded reply. All that is needed of uWS's request is read before the first await: it is gone
 * after the callback. The gateway registers `serve` for every path.
 */
import { randomUUID } from "node:crypto";
import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import { WeirError } from "../protocol/error-codes.ts";
import type { Admission } from "./admission.ts";
import { refuseKeyInUrl, requireScope, type Authenticator } from "./authenticate.ts";
import type { ClientAddress, ClientAddresses } from "./client-address.ts";
import { HttpReply } from "./http-reply.ts";
import type { Log } from "./log.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { Origins } from "./origins.ts";
import { codedError, problemHeaders, problemOf } from "./problem.ts";
import { bodyHead, collectBody, decodeBody, hasAmbiguousLength, Reservation } from "./request-body.ts";
import { matchPath, type ApiReply, type Route } from "./route.ts";
import type { KeyOwner, Scope } from "./services.ts";

export interface HttpServices {
  readonly admission: Admission;
  readonly authenticator: Authenticator;
  readonly addresses: ClientAddresses;
  readonly origins: Origins;
  readonly tls: boolean;
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

/** Answers hold a tenant's data, and are what their type says. */
const safeHeaders = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } as const;
/** For a year, no plain HTTP to this name. */
const tlsHeaders = { "Strict-Transport-Security": "max-age=31536000" } as const;

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
  /** Of the page that asks, when a browser says so; else "". */
  readonly origin: string;
  readonly startedMs: number;
  readonly route: Route | undefined;
}

export class HttpApi {
  readonly #services: HttpServices;
  readonly #routes: readonly Route[];
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
    const exchange = this.#begin(response, method, request.getHeader("origin"), found?.route);
    try {
      if (hasAmbiguousLength(request)) {
        this.#fail(exchange, ambiguousLength(), { close: true });
        return;
      }
      refuseKeyInUrl(request.getQuery() ?? "");
      if (found !== undefined) this.#run(found, exchange, response, request);
      else this.#send(exchange, this.#unrouted(exchange, path));
    } catch (thrown) {
      this.#fail(exchange, thrown);
    }
  }

  /** Valid inside the callback only. */
  addressOf(response: HttpResponse, request: HttpRequest): ClientAddress {
    const peer = Buffer.from(response.getRemoteAddressAsText()).toString();
    return this.#services.addresses.of(peer, () => linesOf(request, "x-forwarded-for"));
  }

  /** Answers a request that is no use going on with, such as an upgrade without a valid key. */
  refuse(response: HttpResponse, thrown: unknown, options: FailOptions = {}): void {
    this.#fail(this.#begin(response, "GET", "", undefined), thrown, options);
  }

  #begin(response: HttpResponse, method: string, origin: string, route: Route | undefined): Exchange {
    const { origins, tls } = this.#services;
    const always = { ...safeHeaders, ...(tls && tlsHeaders), ...origins.answerHeaders(origin) };
    const reply = new HttpReply(response, method === "HEAD", always);
    const reservation = new Reservation(this.#services.admission);
    this.#open++;
    reply.whenOver(() => {
      reservation.release();
      this.#open--;
      if (this.#open === 0) this.#services.idle();
    });
    // Not a number that rises: a tenant would see from it how much others ask.
    const requestId = randomUUID();
    return { reply, reservation, method, requestId, origin, startedMs: this.#services.now(), route };
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

  #unrouted({ method, requestId, origin }: Exchange, path: string): ApiReply {
    const methods = this.#routes.filter((route) => matchPath(route, path) !== undefined).map((route) => route.method);
    if (methods.length === 0) throw new WeirError("WEIR_HTTP_NOT_FOUND");
    const allowed = methods.flatMap((each) => (each === "GET" ? ["GET", "HEAD"] : [each]));
    const headers = { Allow: [...allowed, "OPTIONS"].join(", ") };
    if (method === "OPTIONS") {
      return { status: 204, headers: { ...headers, ...this.#services.origins.preflightHeaders(origin, headers.Allow) } };
    }
    this.#services.metrics.refusal("WEIR_HTTP_METHOD");
    const problem = problemOf(new WeirError("WEIR_HTTP_METHOD"), requestId);
    return { status: problem.status, body: problem, contentType: "application/problem+json", headers };
  }

  /** The part that must happen inside the callback; the rest goes on by itself. */
  #run({ route, parameter }: Found, exchange: Exchange, response: HttpResponse, request: HttpRequest): void {
    const from = this.addressOf(response, request);
    const owner = route.scope === "none" ? undefined : this.#ownerOf(request, route.scope, from);
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
      const author = { by: `key:${owner.keyId}`, remoteAddress: from.text };
      return route.handle({ ...apiRequest, owner, author });
    };
    answer().then(
      (reply) => this.#send(exchange, reply),
      (thrown: unknown) => this.#fail(exchange, thrown),
    );
  }

  #ownerOf(request: HttpRequest, scope: Scope, from: ClientAddress): KeyOwner {
    const owner = this.#services.authenticator.ownerOfHeader(request.getHeader("authorization"), from);
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
    const headers = { ...problemHeaders(problem, error.retryAfterMs), ...options.headers };
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

/** `getHeader` gives the first line only, which may be the client's own invention before a proxy's. */
function linesOf(request: HttpRequest, wanted: string): string[] {
  const lines: string[] = [];
  request.forEach((name, value) => {
    if (name === wanted) lines.push(value);
  });
  return lines;
}
