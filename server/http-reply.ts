/**
 * The answering side of one HTTP request. uWS demands that a response is touched neither after it ended nor after the
 * client went away; this is the only place that touches one, and it knows both. At most one reply is sent.
 *
 * A reply that ends the connection leaves in a turn of its own. Within the callback of a request, uWS would first answer the next
 * request that came in the same segment and forget about the end; later, it ends the connection when such a request comes.
 */
import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "uWebSockets.js";
import type { ApiReply } from "./route.ts";

export class HttpReply {
  readonly #response: HttpResponse;
  readonly #head: boolean;
  readonly #always: Readonly<Record<string, string>>;
  #over = false;
  #onOver: () => void = () => {};

  /** Must be made inside the route's callback: it attaches the abort handler. `always`: headers of whatever is answered. */
  constructor(response: HttpResponse, head: boolean, always: Readonly<Record<string, string>> = {}) {
    this.#response = response;
    this.#head = head;
    this.#always = always;
    response.onAborted(() => this.#finish());
  }

  /** True after the reply was sent or the client went away. */
  get over(): boolean {
    return this.#over;
  }

  /** Called once, when the reply was sent or the client went away. */
  whenOver(handler: () => void): void {
    this.#onOver = handler;
  }

  /** Returns the bytes of the body; 0 when there was nobody left to answer. */
  send(reply: ApiReply, requestId: string, options: { close?: boolean } = {}): number {
    if (this.#over) return 0;
    const rendered = render(reply);
    if (options.close === true) setImmediate(() => this.#write(reply, rendered, requestId, true));
    else this.#write(reply, rendered, requestId, false);
    return this.#head ? 0 : rendered.bytes;
  }

  #write(reply: ApiReply, { text, contentType, bytes }: Rendered, requestId: string, close: boolean): void {
    if (this.#over) return;
    this.#response.cork(() => {
      this.#response.writeStatus(`${reply.status} ${STATUS_CODES[reply.status] ?? ""}`.trimEnd());
      if (contentType !== undefined) this.#response.writeHeader("Content-Type", contentType);
      this.#response.writeHeader("X-Request-Id", requestId);
      const headers = { ...this.#always, ...reply.headers };
      for (const [name, value] of Object.entries(headers)) this.#response.writeHeader(name, value);
      if (close) this.#response.writeHeader("Connection", "close");
      if (reply.status === 204) this.#response.endWithoutBody(undefined, close);
      else if (this.#head) this.#response.endWithoutBody(bytes, close);
      else this.#response.end(text, close);
    });
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
  }
}

interface Rendered {
  readonly text: string;
  readonly bytes: number;
  readonly contentType: string | undefined;
}

function render({ body, contentType }: ApiReply): Rendered {
  if (body === undefined) return { text: "", bytes: 0, contentType: undefined };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const byDefault = typeof body === "string" ? "text/plain; charset=utf-8" : "application/json";
  return { text, bytes: Buffer.byteLength(text), contentType: contentType ?? byDefault };
}
