/**
 * A subscriber that costs next to nothing, so that thousands of them fit in one process: a TCP socket of its own that says the
 * WebSocket handshake, reads server frames (RFC 6455: never masked, never in parts here) and answers pings. All of them read
 * into one buffer; what `frame` is given is valid during the call.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

const OPCODE = { binary: 2, close: 8, ping: 9, pong: 10 } as const;
const HEAD_END = "\r\n\r\n";
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024);

export interface SubscriberEvents {
  opened(): void;
  /** One binary message. */
  frame(payload: Buffer): void;
  failed(cause: Error): void;
}

export class RawSubscriber {
  readonly #events: SubscriberEvents;
  readonly #socket: Socket;
  #rest: Buffer | undefined;
  #isOpen = false;

  constructor(url: string, key: string, events: SubscriberEvents) {
    this.#events = events;
    const { hostname, port, pathname } = new URL(url);
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      onread: { buffer: readBuffer, callback: (length) => this.#read(readBuffer.subarray(0, length)) },
    });
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (cause) => events.failed(cause));
    this.#socket.on("close", () => events.failed(new Error("the server closed the connection")));
    const lines = [
      `GET ${pathname} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      `Authorization: Bearer ${key}`,
    ];
    this.#socket.write(lines.join("\r\n") + HEAD_END);
  }

  send(payload: Uint8Array): void {
    this.#write(OPCODE.binary, payload);
  }

  destroy(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.removeAllListeners("error");
    this.#socket.on("error", () => undefined);
    this.#socket.destroy();
  }

  /** Returns true: go on reading. */
  #read(chunk: Buffer): boolean {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#isOpen) {
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) return this.#keep(bytes);
      const status = bytes.toString("latin1", 0, bytes.indexOf("\r\n"));
      if (!status.startsWith("HTTP/1.1 101")) this.#events.failed(new Error(`the server answered ${status}`));
      bytes = bytes.subarray(end + HEAD_END.length);
      this.#isOpen = true;
      this.#events.opened();
    }
    return this.#keep(bytes.subarray(this.#frames(bytes)));
  }

  #keep(rest: Buffer): boolean {
    this.#rest = rest.length === 0 ? undefined : Buffer.from(rest);
    return true;
  }

  /** Hands out all whole frames; returns where the first one that is not whole begins. */
  #frames(bytes: Buffer): number {
    let at = 0;
    while (bytes.length - at >= 2) {
      const short = (bytes[at + 1] ?? 0) & 0x7f;
      const headLength = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length - at < headLength) return at;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      const from = at + headLength;
      if (bytes.length - from < length) return at;
      this.#take((bytes[at] ?? 0) & 0x0f, bytes.subarray(from, from + length));
      at = from + length;
    }
    return at;
  }

  #take(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.binary) this.#events.frame(payload);
    else if (opcode === OPCODE.ping) this.#write(OPCODE.pong, payload);
    else if (opcode === OPCODE.close) this.#events.failed(new Error(`closed with ${payload.toString("latin1", 2)}`));
  }

  /** Masked with zeros, which is as valid a mask as another. */
  #write(opcode: number, payload: Uint8Array): void {
    const isShort = payload.length < 126;
    const head = Buffer.alloc(isShort ? 6 : 8);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (isShort ? payload.length : 126);
    if (!isShort) head.writeUInt16BE(payload.length, 2);
    this.#socket.write(Buffer.concat([head, payload]));
  }
}
