/** The protocol of Redis (RESP 2), as much as a bench needs: commands that are encoded before, replies in order. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { PeerConnection } from "./peer.ts";

export type RespValue = string | number | null | Buffer | Error | readonly RespValue[];

export function encodeCommand(...args: readonly (string | number | Uint8Array)[]): Buffer {
  const parts = args.flatMap((arg) => {
    const bytes = typeof arg === "object" ? arg : Buffer.from(String(arg));
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")];
  });
  return Buffer.concat([Buffer.from(`*${args.length}\r\n`), ...parts]);
}

/** The value that begins at `offset` and where the next one begins; undefined when it is not complete yet. */
export function parseReply(bytes: Buffer, offset: number): { value: RespValue; end: number } | undefined {
  const lineEnd = bytes.indexOf("\r\n", offset, "latin1");
  if (lineEnd < 0) return undefined;
  const line = bytes.toString("utf8", offset + 1, lineEnd);
  const next = lineEnd + 2;
  switch (String.fromCharCode(bytes[offset] ?? 0)) {
    case "+":
      return { value: line, end: next };
    case ":":
      return { value: Number(line), end: next };
    case "-":
      return { value: new Error(line), end: next };
    case "$": {
      const length = Number(line);
      if (length < 0) return { value: null, end: next };
      const end = next + length + 2;
      return end > bytes.length ? undefined : { value: bytes.subarray(next, end - 2), end };
    }
    case "*":
      return parseList(bytes, next, Number(line));
    default:
      throw new Error(`not a reply: ${line}`);
  }
}

function parseList(bytes: Buffer, start: number, length: number): { value: RespValue; end: number } | undefined {
  if (length < 0) return { value: null, end: start };
  const list: RespValue[] = [];
  let end = start;
  while (list.length < length) {
    const item = parseReply(bytes, end);
    if (item === undefined) return undefined;
    list.push(item.value);
    end = item.end;
  }
  return { value: list, end };
}

interface Waiting {
  readonly resolve: (value: RespValue) => void;
  readonly reject: (cause: Error) => void;
}

export class RespConnection implements PeerConnection {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", (cause) => this.#fail(cause));
    socket.on("close", () => this.#fail(new Error("Redis closed the connection")));
  }

  static async open(port: number): Promise<RespConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new RespConnection(socket);
  }

  /** A command that is encoded already. Rejects with Redis's error. */
  request(command: Buffer): Promise<RespValue> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#socket.write(command);
    });
  }

  command(...args: readonly (string | number)[]): Promise<RespValue> {
    return this.request(encodeCommand(...args));
  }

  async send(request: Buffer): Promise<void> {
    await this.request(request);
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    for (let reply = parseReply(bytes, 0); reply !== undefined; reply = parseReply(bytes, offset)) {
      offset = reply.end;
      const waiting = this.#waiting.shift();
      if (reply.value instanceof Error) waiting?.reject(reply.value);
      else waiting?.resolve(reply.value);
      if (offset === bytes.length) break;
    }
    this.#rest = bytes.subarray(offset);
  }

  #fail(cause: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(cause);
  }
}
