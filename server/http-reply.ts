/**
 * The answering side of one HTTP request. uWS demands that a response is touched neither after it ended nor after the
 * client went away; this is the only place that touches one, and it knows both. At most one reply is sent.
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
    const { text, contentType } = render(reply);
    const bytes = Buffer.byteLength(text);
    const close = options.close === true;
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
    return this.#head ? 0 : bytes;
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onOver();
  }
}

function render(reply: ApiReply): { text: string; contentType: string | undefined } {
  if (reply.body === undefined) return { text: "", contentType: undefined };
  if (typeof reply.body === "string") return { text: reply.body, contentType: reply.contentType ?? "text/plain; charset=utf-8" };
  return { text: JSON.stringify(reply.body), contentType: reply.contentType ?? "application/json" };
}
