/**
 * The sockets of the gateway keep to RFC 6455, case by case (`websocket-cases.ts`), but for the deviations that are listed there:
 * the list must be exact, so that a new version of uWS that mends or breaks a case is noticed. Short cases are also sent byte by byte.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startEchoServer, type EchoServer } from "./echo-server.ts";
import { encodeWireFrame, OPCODE, RawSocket, type ServerFrame } from "./raw-socket.ts";
import { deviations, webSocketCases, type Message, type WebSocketCase } from "./websocket-cases.ts";

const BYTEWISE_MAX = 512;

let server: EchoServer;
before(async () => (server = await startEchoServer()));
after(() => server.close());

interface Found {
  readonly answers: readonly Message[];
  readonly end: "open" | "fails" | number;
}

async function run({ send }: WebSocketCase, bytewise: boolean): Promise<Found> {
  const socket = await RawSocket.open(server.port);
  try {
    await upgrade(socket);
    const sent = Buffer.concat(send.map(encodeWireFrame));
    if (bytewise) {
      for (const byte of sent) {
        socket.send(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } else socket.send(sent);
    // The server answers in order: when this one is answered, everything before it is.
    socket.sendFrame({ opcode: OPCODE.ping, payload: Buffer.from(lastPing) });
    return await read(socket);
  } finally {
    socket.destroy();
  }
}

const lastPing = "the last ping";

async function upgrade(socket: RawSocket): Promise<void> {
  socket.send(
    "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const answer = await socket.httpAnswer();
  assert.equal(answer?.status, 101);
  assert.equal(answer.headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

async function read(socket: RawSocket): Promise<Found> {
  const answers: Message[] = [];
  for (let frame = await socket.frame(); frame !== undefined; frame = await socket.frame()) {
    assert.ok(frame.fin, "the server sends whole messages");
    if (frame.opcode === OPCODE.pong && Buffer.from(frame.payload).toString() === lastPing) return { answers, end: "open" };
    if (frame.opcode === OPCODE.close) {
      assert.ok(await socket.end(), "the server ends the connection behind its close");
      return { answers, end: closeCodeOf(frame) };
    }
    answers.push([frame.opcode, frame.payload]);
  }
  assert.ok(socket.ended, "neither an answer nor an end");
  return { answers, end: "fails" };
}

function closeCodeOf({ payload }: ServerFrame): number | "fails" {
  return payload.length < 2 ? "fails" : Buffer.from(payload).readUInt16BE();
}

/** A server that fails a connection may say why in a close frame, or just end it (RFC 6455, section 7.1.7). */
function keeps({ answers, end }: WebSocketCase, found: Found): boolean {
  const isEnd = end === "fails" ? found.end !== "open" : found.end === end;
  return isEnd && textOf(answers) === textOf(found.answers);
}

function textOf(messages: readonly Message[]): string {
  return messages.map(([opcode, payload]) => `${opcode}:${Buffer.from(payload).toString("latin1")}`).join("\n");
}

describe("the cases of RFC 6455 that hold", () => {
  for (const each of webSocketCases) {
    test(each.name, async () => {
      const found = await run(each, false);
      const message = `${each.name}: ${found.answers.length} answers, then ${found.end}`;
      const isKept = !Object.hasOwn(deviations, each.name);
      assert.equal(keeps(each, found), isKept, message);
      const length = each.send.reduce((sum, { payload }) => sum + payload.length + 14, 0);
      if (isKept && length <= BYTEWISE_MAX) assert.deepEqual(await run(each, true), found, "byte by byte");
    });
  }
});

test("every deviation is one of a case", () => {
  const names = new Set(webSocketCases.map(({ name }) => name));
  assert.equal(names.size, webSocketCases.length, "names are unique");
  for (const name of Object.keys(deviations)) assert.ok(names.has(name), name);
});
