/** Requests as HTTP POST, for peers that take lines over HTTP. */
import { Client } from "undici";
import type { PeerConnection } from "./peer.ts";

export class HttpConnection implements PeerConnection {
  readonly #client: Client;
  readonly #path: string;

  constructor(port: number, path: string) {
    this.#client = new Client(`http://127.0.0.1:${port}`);
    this.#path = path;
  }

  async send(body: Buffer): Promise<void> {
    const answer = await this.#client.request({ method: "POST", path: this.#path, body });
    if (answer.statusCode >= 300) throw new Error(`${this.#path} answered ${answer.statusCode}: ${await answer.body.text()}`);
    await answer.body.dump();
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }
}
