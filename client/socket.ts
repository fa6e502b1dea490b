/**
 * The part of the WebSocket interface that the client uses, and where to get one: the platform's
 * (browsers, Node 22 and later), or undici's (Node 20 has no global one). `connection.ts` is the only user.
 */
import { WeirError } from "../protocol/error-codes.ts";

export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: never) => unknown) | null;
  onmessage: ((event: never) => unknown) | null;
  onclose: ((event: never) => unknown) | null;
  onerror: ((event: never) => unknown) | null;
  send(data: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** What a handler is given; read through these, since every platform has its own event classes. */
export interface SocketMessage {
  readonly data: unknown;
}
export interface SocketClose {
  readonly code: number;
  readonly reason: string;
}

export async function webSocketConstructor(): Promise<WebSocketConstructor> {
  const platform: unknown = Reflect.get(globalThis, "WebSocket");
  if (isConstructor(platform)) return platform;
  // The name is not a literal, so that a bundler for browsers does not pack undici.
  const name = "undici";
  try {
    const loaded: unknown = await import(name);
    const found: unknown = typeof loaded === "object" && loaded !== null ? Reflect.get(loaded, "WebSocket") : undefined;
    if (isConstructor(found)) return found;
  } catch (cause) {
    throw new WeirError("WEIR_CLIENT_UNREACHABLE", "There is no WebSocket here; give one as `WebSocket`.", { cause });
  }
  throw new WeirError("WEIR_CLIENT_UNREACHABLE", "There is no WebSocket here; give one as `WebSocket`.");
}

function isConstructor(value: unknown): value is WebSocketConstructor {
  return typeof value === "function";
}

/** The bytes of a binary message; undefined for a text one. */
export function messageBytes(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return data instanceof Uint8Array ? data : undefined;
}
