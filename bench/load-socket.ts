/**
 * The client's half of the WebSocket protocol (RFC 6455), as little of it as a load client needs: it shares the machine with the
 * server that it measures, so what it costs is missing there. Frames are sent from buffers that hold their head already, masked
 * with zeros, which is as valid a mask as another; what comes is read in place out of one buffer that all sockets share.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface LoadSocketEvents {
  /** `bytes[from .. to - 1]` is a message, good during the call only. */
  message(bytes: Buffer, from: number, to: number): void;
  ended(cause: Error): void;
}

const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;
const FINAL = 0x80;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** What goes before a frame of this length. */
export function clientFrameHead(length: number, isText: boolean): Buffer {
  return headOf(isText ? OPCODE.text : OPCODE.binary, length);
}

function headOf(opcode: number, length: number): Buffer {
  const sizeBytes = length < LENGTH_16 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + sizeBytes + 4);
  head[0] = FINAL | opcode;
  head[1] = MASKED | (sizeBytes === 0 ? length : sizeBytes === 2 ? LENGTH_16 : LENGTH_64);
  if (sizeBytes === 2) head.writeUInt16BE(length, 2);
  else if (sizeBytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

const shared = Buffer.alloc(256 * 1024);
const noBytes = Buffer.alloc(0);
const headEnd = Buffer.from("\r\n\r\n");

export class LoadSocket {
  readonly #socket: Socket;
  readonly #events: LoadSocketEvents;
  /** What came of a message that is not complete, or of the answer to the upgrade. */
  #rest: Buffer = noBytes;
  #opened: (() => void) | undefined;

  private constructor(url: URL, events: LoadSocketEvents) {
    this.#events = events;
    const onread = { buffer: shared, callback: (count: number) => this.#read(count) };
    this.#socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true, onread });
  }

  /** Resolves when the server has agreed to speak WebSocket. */
  static open(target: string, key: string | undefined, events: LoadSocketEvents): Promise<LoadSocket> {
    const url = new URL(target);
    return new Promise((resolve, reject) => {
      let isOpen = false;
      const ended = (cause: Error): void => (isOpen ? events.ended(cause) : reject(cause));
      const socket = new LoadSocket(url, { message: (bytes, from, to) => events.message(bytes, from, to), ended });
      socket.#opened = () => {
        isOpen = true;
        resolve(socket);
      };
      socket.#socket.on("error", ended);
      socket.#socket.on("close", () => ended(new Error("the server closed the connection")));
      socket.#socket.write(upgradeRequest(url, key));
    });
  }

  /** `frame` with its head. True: the kernel has all of it, and the buffer may be used again. */
  send(frame: Buffer): boolean {
    this.#socket.write(frame);
    return this.#socket.writableLength === 0;
  }

  #read(count: number): boolean {
    if (this.#rest.length === 0) {
      const used = this.#take(shared, count);
      if (used < count) this.#rest = Buffer.from(shared.subarray(used, count));
    } else {
      const bytes = Buffer.concat([this.#rest, shared.subarray(0, count)]);
      this.#rest = bytes.subarray(this.#take(bytes, bytes.length));
    }
    return true;
  }

  /** Takes all that is complete; gives where the rest begins. */
  #take(bytes: Buffer, end: number): number {
    let at = this.#opened === undefined ? 0 : this.#takeUpgrade(bytes, end);
    while (at + 2 <= end) {
      const opcode = (bytes[at] ?? 0) & 0x0f;
      let length = (bytes[at + 1] ?? 0) & 0x7f;
      let from = at + 2;
      if (length === LENGTH_16) {
        if (from + 2 > end) break;
        length = bytes.readUInt16BE(from);
        from += 2;
      } else if (length === LENGTH_64) {
        if (from + 8 > end) break;
        length = Number(bytes.readBigUInt64BE(from));
        from += 8;
      }
      if (from + length > end) break;
      this.#frame(opcode, bytes, from, from + length);
      at = from + length;
    }
    return at;
  }

  #takeUpgrade(bytes: Buffer, end: number): number {
    const blank = bytes.subarray(0, end).indexOf(headEnd);
    if (blank < 0) return 0;
    const answer = bytes.toString("latin1", 0, blank);
    if (!answer.startsWith("HTTP/1.1 101")) {
      this.#events.ended(new Error(`the server refused the upgrade: ${answer.split("\r\n")[0] ?? ""}`));
      this.#socket.destroy();
      return end;
    }
    const opened = this.#opened;
    this.#opened = undefined;
    opened?.();
    return blank + headEnd.length;
  }

  #frame(opcode: number, bytes: Buffer, from: number, to: number): void {
    if (opcode === OPCODE.text || opcode === OPCODE.binary) return this.#events.message(bytes, from, to);
    if (opcode === OPCODE.ping) {
      this.#socket.write(Buffer.concat([headOf(OPCODE.pong, to - from), bytes.subarray(from, to)]));
    } else if (opcode === OPCODE.close) {
      const code = to - from >= 2 ? bytes.readUInt16BE(from) : 1005;
      this.#events.ended(new Error(`the server closed the connection: ${code}`));
    }
  }
}

function upgradeRequest(url: URL, key: string | undefined): string {
  const lines = [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
    ...(key === undefined ? [] : [`Authorization: Bearer ${key}`]),
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}
