/**
 * Certificate authorities of one's own (`ca`), for Node: `fetch` and WebSocket that trust them, made with undici, because the
 * platform's own take no certificates. Browsers trust what their user has set up, so there `ca` is refused.
 */
import { WeirError } from "../protocol/error-codes.ts";
import type { WebSocketConstructor } from "./socket.ts";

export interface TrustingPlatform {
  readonly fetch: typeof fetch;
  readonly WebSocket: WebSocketConstructor;
}

interface Undici {
  readonly Agent: new (options: { connect: { ca: readonly string[] } }) => object;
  readonly WebSocket: new (url: string, options: { dispatcher: object }) => InstanceType<WebSocketConstructor>;
  fetch(input: unknown, init: unknown): Promise<Response>;
}

/** `ca`: certificates as PEM texts. They are trusted in place of the well-known ones. */
export async function platformTrusting(ca: readonly string[]): Promise<TrustingPlatform> {
  const undici = await loadUndici();
  const dispatcher = new undici.Agent({ connect: { ca } });
  return {
    fetch: (input, init) => undici.fetch(input, { ...init, dispatcher }),
    WebSocket: class extends undici.WebSocket {
      constructor(url: string) {
        super(url, { dispatcher });
      }
    },
  };
}

async function loadUndici(): Promise<Undici> {
  // The name is not a literal, so that a bundler for browsers does not pack undici.
  const name = "undici";
  try {
    return (await import(name)) as Undici;
  } catch (cause) {
    throw new WeirError("WEIR_CONFIG_INVALID", "`ca` needs Node and undici; a browser trusts what its user has set up.", {
      path: "ca",
      cause,
    });
  }
}
