/**
 * The line between the main thread and a host: a worker's message port, or, with inline hosting, two queues in one thread.
 * Both deliver in order, never during `post`, and the receiver may not rely on sharing memory with the sender.
 */
import type { MessagePort, Worker } from "node:worker_threads";
import type { HostLine } from "./messages.ts";

type Soon = (work: () => void) => void;

/** The two ends of an in-process line; `soon` runs work in a later turn of the event loop. */
export function inlineLine<A, B>(soon: Soon = setImmediate): [HostLine<A, B>, HostLine<B, A>] {
  const toB = new Queue<A>(soon);
  const toA = new Queue<B>(soon);
  return [lineOver(toB, toA), lineOver(toA, toB)];
}

function lineOver<Out, In>(out: Queue<Out>, incoming: Queue<In>): HostLine<Out, In> {
  return {
    post: (message) => out.push(message),
    onMessage: (handler) => incoming.listen(handler),
    close: () => undefined,
  };
}

class Queue<Message> {
  readonly #soon: Soon;
  #waiting: Message[] = [];
  #handler: ((message: Message) => void) | undefined;
  #scheduled = false;

  constructor(soon: Soon) {
    this.#soon = soon;
  }

  push(message: Message): void {
    this.#waiting.push(message);
    this.#schedule();
  }

  listen(handler: (message: Message) => void): void {
    this.#handler = handler;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#handler === undefined || this.#waiting.length === 0) return;
    this.#scheduled = true;
    this.#soon(() => {
      this.#scheduled = false;
      const messages = this.#waiting;
      this.#waiting = [];
      for (const message of messages) this.#handler?.(message);
    });
  }
}

/** A line over a worker (seen from main) or its parent's port (seen from the worker). */
export function threadLine<Out, In>(end: Worker | MessagePort): HostLine<Out, In> {
  return {
    post: (message, transfer = []) => end.postMessage(message, transfer),
    onMessage: (handler) => void end.on("message", handler),
    close: () => end.removeAllListeners("message"),
  };
}
