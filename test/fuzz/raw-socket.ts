/**
 * A TCP socket that speaks HTTP and WebSocket byte by byte, so that a test can say what no library lets it say: frames without a
 * mask, reserved bits, lengths that lie, heads that never end. It reads answers, checks nothing, and never throws for what a server
 * does; `read` ends with what was there when the patience is over.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { ByteQueue } from "./byte-queue.ts";

export interface WireFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly fin?: boolean;
  /** The three reserved bits, as 0 to 7. */
  readonly reserved?: number;
  /** false: sent without a mask. "unsaid": with one, but the bit that says so is not set. */
  readonly masked?: boolean | "unsaid";
  /** The declared length, where it is to lie. */
  readonly length?: number;
  /** How the length is written: 7, 16 or 64 bits; the shortest by default. */
  readonly lengthBits?: 7 | 16 | 64;
}

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface ServerFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Uint8Array;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const MASK = Uint8Array.of(0x12, 0x34, 0x56, 0x78);
const PATIENCE_MS = 20_000;

export function encodeWireFrame(frame: WireFrame): Uint8Array {
  const { opcode, payload, fin = true, reserved = 0, masked = true, length = payload.length } = frame;
  const bits = frame.lengthBits ?? (length < 126 ? 7 : length < 65_536 ? 16 : 64);
  const lengthBytes = Buffer.alloc(bits === 7 ? 1 : bits === 16 ? 3 : 9);
  if (bits === 7) lengthBytes.writeUInt8(length);
  else if (bits === 16) {
    lengthBytes.writeUInt8(126);
    lengthBytes.writeUInt16BE(length, 1);
  } else {
    lengthBytes.writeUInt8(127);
    lengthBytes.writeBigUInt64BE(BigInt(length), 1);
  }
  if (masked === true) lengthBytes[0] = (lengthBytes[0] ?? 0) | 0x80;
  const head = Uint8Array.of((fin ? 0x80 : 0) | (reserved << 4) | opcode);
  const body = masked !== false ? payload.map((byte, index) => byte ^ (MASK[index & 3] ?? 0)) : payload;
  return Buffer.concat(masked !== false ? [head, lengthBytes, MASK, body] : [head, lengthBytes, body]);
}

export function closePayload(code: number, reason: string | Uint8Array = ""): Uint8Array {
  const bytes = typeof reason === "string" ? Buffer.from(reason) : reason;
  const payload = Buffer.alloc(2 + bytes.length);
  payload.writeUInt16BE(code);
  payload.set(bytes, 2);
  return payload;
}

export class RawSocket {
  readonly #socket: Socket;
  readonly #received = new ByteQueue();
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#wake();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static async open(port: number): Promise<RawSocket> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    return new RawSocket(socket);
  }

  /** The other side has said that it sends no more. */
  get ended(): boolean {
    return this.#ended;
  }

  send(bytes: Uint8Array | string): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  sendFrame(frame: WireFrame): void {
    this.send(encodeWireFrame(frame));
  }

  /** Resolves when what was written has been handed to the kernel, or the connection has ended. */
  async drained(): Promise<void> {
    while (this.#socket.writableLength > 0 && !this.#socket.destroyed && !this.#ended) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** One HTTP answer with its body; undefined when the connection ended without one. */
  async httpAnswer(patienceMs = PATIENCE_MS): Promise<HttpAnswer | undefined> {
    const head = await this.#take((queue) => {
      const end = queue.indexOf("\r\n\r\n");
      return end < 0 ? undefined : Buffer.from(queue.take(end + 4)).toString("latin1");
    }, patienceMs);
    if (head === undefined) return undefined;
    const [statusLine = "", ...lines] = head.trimEnd().split("\r\n");
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
      }),
    );
    const status = Number(statusLine.split(" ")[1]);
    const length = Number(headers.get("content-length") ?? 0);
    if (length === 0 || status === 101) return { status, headers, body: "" };
    const body = await this.#take((queue) => (queue.length < length ? undefined : Buffer.from(queue.take(length)).toString()));
    return { status, headers, body: body ?? "" };
  }

  /** The next WebSocket frame; undefined when the connection ended before one was whole. */
  frame(): Promise<ServerFrame | undefined> {
    return this.#take(takeFrame);
  }

  /** Resolves when the other side has ended the connection; false: it did not. What came before is dropped. */
  async end(patienceMs = PATIENCE_MS): Promise<boolean> {
    await this.#take(() => undefined, patienceMs);
    return this.#ended;
  }

  async #take<Taken>(take: (queue: ByteQueue) => Taken | undefined, patienceMs = PATIENCE_MS): Promise<Taken | undefined> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const taken = take(this.#received);
      if (taken !== undefined || this.#ended) return taken;
      const left = deadline - performance.now();
      if (left <= 0) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function takeFrame(queue: ByteQueue): ServerFrame | undefined {
  const head = queue.peek(10);
  if (head.length < 2) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const short = view.getUint8(1) & 0x7f;
  const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (head.length < headBytes) return undefined;
  const length = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short;
  if (queue.length < headBytes + length) return undefined;
  queue.take(headBytes);
  const first = view.getUint8(0);
  return { opcode: first & 0x0f, fin: first >= 0x80, payload: queue.take(length) };
}
