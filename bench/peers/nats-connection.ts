/** The protocol of NATS, as much as a bench needs: a request, and the one reply to it on an inbox of its own. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

interface Waiting {
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (cause: Error) => void;
}

export class NatsConnection {
  readonly #socket: Socket;
  readonly #inbox = `_INBOX.${randomBytes(8).toString("hex")}`;
  readonly #waiting = new Map<string, Waiting>();
  #rest: Buffer = Buffer.alloc(0);
  #requests = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("error", (cause) => this.#fail(cause));
    socket.on("close", () => this.#fail(new Error("NATS closed the connection")));
    socket.write('CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n');
    socket.write(`SUB ${this.#inbox}.* 1\r\n`);
  }

  static async open(port: number): Promise<NatsConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new NatsConnection(socket);
  }

  request(subject: string, payload: Uint8Array): Promise<Buffer> {
    const reply = `${this.#inbox}.${this.#requests++}`;
    return new Promise((resolve, reject) => {
      this.#waiting.set(reply, { resolve, reject });
      this.#socket.cork();
      this.#socket.write(`PUB ${subject} ${reply} ${payload.length}\r\n`);
      this.#socket.write(payload);
      this.#socket.write("\r\n");
      this.#socket.uncork();
    });
  }

  /** A request to JetStream, which answers JSON. Rejects when that says `error`. */
  async ask(subject: string, payload: Uint8Array): Promise<Readonly<Record<string, unknown>>> {
    const text = (await this.request(subject, payload)).toString();
    const answer = JSON.parse(text) as Readonly<Record<string, unknown>>;
    if (answer["error"] !== undefined) throw new Error(`NATS answered ${text}`);
    return answer;
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let offset = 0;
    while (offset < bytes.length) {
      const lineEnd = bytes.indexOf("\r\n", offset, "latin1");
      if (lineEnd < 0) break;
      const end = this.#receiveMessage(bytes, bytes.toString("utf8", offset, lineEnd), lineEnd + 2);
      if (end === undefined) break;
      offset = end;
    }
    this.#rest = bytes.subarray(offset);
  }

  /** Where the next message begins; undefined when this one is not complete yet. */
  #receiveMessage(bytes: Buffer, line: string, start: number): number | undefined {
    const [operation = "", subject = "", ...rest] = line.split(" ");
    switch (operation) {
      case "MSG": {
        const end = start + Number(rest.at(-1));
        if (end + 2 > bytes.length) return undefined;
        this.#waiting.get(subject)?.resolve(bytes.subarray(start, end));
        this.#waiting.delete(subject);
        return end + 2;
      }
      case "HMSG":
        // A message with headers is a status here: that nobody takes the request.
        this.#fail(new Error(`NATS refused a request: ${line}`));
        return bytes.length;
      case "PING":
        this.#socket.write("PONG\r\n");
        return start;
      case "-ERR":
        this.#fail(new Error(`NATS: ${line}`));
        return start;
      default:
        return start;
    }
  }

  #fail(cause: Error): void {
    for (const { reject } of this.#waiting.values()) reject(cause);
    this.#waiting.clear();
  }
}
