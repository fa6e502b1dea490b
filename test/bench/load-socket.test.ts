/** The load client's WebSocket against a server that knows the whole protocol. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import { clientFrameHead, LoadSocket } from "../../bench/load-socket.ts";

interface Peers {
  readonly socket: LoadSocket;
  readonly peer: WebSocket;
  readonly key: string | undefined;
  /** Copies of what came, in order. */
  readonly received: Buffer[];
  readonly ended: Promise<Error>;
  /** Resolves when so many messages came. */
  count(messages: number): Promise<void>;
}

type Context = { after(action: () => void): void };

async function listen(context: Context): Promise<{ server: WebSocketServer; url: string }> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", maxPayload: 2 ** 24 });
  await once(server, "listening");
  context.after(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { server, url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/stream` };
}

async function connect(context: Context): Promise<Peers> {
  const { server, url } = await listen(context);
  const connected = once(server, "connection");
  const received: Buffer[] = [];
  let wake: () => void = () => undefined;
  let end: (cause: Error) => void = () => undefined;
  const ended = new Promise<Error>((resolve) => (end = resolve));
  const socket = await LoadSocket.open(url, "a-key", {
    message: (bytes, from, to) => {
      received.push(Buffer.from(bytes.subarray(from, to)));
      wake();
    },
    ended: (cause) => end(cause),
  });
  const [peer, request] = (await connected) as [WebSocket, { headers: { authorization?: string } }];
  const count = async (messages: number): Promise<void> => {
    while (received.length < messages) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { socket, peer, key: request.headers.authorization, received, ended, count };
}

/** Around the borders of the three ways in which a length is written, and larger than what is read at once. */
const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 300_000, 1_000_000];

test("frames of every length arrive as they were, binary and text", async (context) => {
  const { socket, peer, key } = await connect(context);
  assert.equal(key, "Bearer a-key");
  for (const length of lengths) {
    for (const isText of [false, true]) {
      const message = Buffer.alloc(length, "weir");
      const arrived = once(peer, "message");
      socket.send(Buffer.concat([clientFrameHead(length, isText), message]));
      const [data, isBinary] = (await arrived) as [Buffer, boolean];
      assert.ok(data.equals(message), String(length));
      assert.equal(isBinary, !isText);
    }
  }
});

test("messages of every length are received as they were sent, many in one read and one in many", async (context) => {
  const { peer, received, count } = await connect(context);
  const messages = [...lengths, ...lengths.toReversed()].map((length, index) => Buffer.alloc(length, `${index}`));
  for (const message of messages) peer.send(message);
  await count(messages.length);
  assert.deepEqual(
    received.map(({ length }) => length),
    messages.map(({ length }) => length),
  );
  for (const [index, message] of messages.entries()) assert.ok(message.equals(received[index] ?? Buffer.alloc(0)), String(index));
});

test("a buffer that the kernel has not taken whole must not be used again", async (context) => {
  const { socket, peer } = await connect(context);
  peer.pause();
  const framed = Buffer.concat([clientFrameHead(1_000_000, false), Buffer.alloc(1_000_000)]);
  let sent = 1;
  while (socket.send(framed)) assert.ok(sent++ < 100, "the kernel cannot have taken all that");
  let arrived = 0;
  peer.on("message", () => arrived++);
  peer.resume();
  while (arrived < sent) await once(peer, "message");
  // Once all is away, a buffer is free again at once.
  const small = Buffer.concat([clientFrameHead(4, false), Buffer.from("weir")]);
  for (let isFree = false; !isFree;) {
    const next = once(peer, "message");
    isFree = socket.send(small);
    await next;
  }
});

test("a ping is answered", async (context) => {
  const { peer } = await connect(context);
  const answered = once(peer, "pong");
  peer.ping("are you there?");
  const [data] = (await answered) as [Buffer];
  assert.equal(data.toString(), "are you there?");
});

test("the end of a connection is told, with the server's code", async (context) => {
  const { peer, ended } = await connect(context);
  peer.close(4_003, "no");
  assert.match((await ended).message, /4003/);
});

test("an upgrade that is refused fails the opening", async (context) => {
  const { server, url } = await listen(context);
  server.options.verifyClient = () => false;
  await assert.rejects(LoadSocket.open(url, undefined, { message: () => undefined, ended: () => undefined }), /401/);
});
