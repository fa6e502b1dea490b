/** Sends one case of the corpus to a server and tells what came back, in the words of the corpus. */
import { gzipSync } from "node:zlib";
import { textOfFrame, textOfHttp } from "./answers.ts";
import type { BodyCase, CorpusCase, WireCase } from "./corpus-case.ts";
import type { FuzzTarget } from "./fuzz-target.ts";
import { pack } from "./msgpack-bytes.ts";
import { encodeWireFrame, OPCODE, RawSocket, type WireFrame } from "./raw-socket.ts";

const DRIP_MS = 500;
/** The answer to this one tells that everything before it was answered. */
const LAST_PING_ID = 424_242;
const lastPing = pack({ t: "ping", id: LAST_PING_ID });

export async function runCase(target: FuzzTarget, each: CorpusCase): Promise<string> {
  const socket = await RawSocket.open(target.port);
  try {
    if ("body" in each) return await runBody(target, socket, each);
    if ("wire" in each) return await runWire(target, socket, each);
    const isFrame = "frame" in each;
    await upgrade(target, socket, !("key" in each));
    const answer = await runFrames(
      socket,
      isFrame ? [frameOf(each.frame)] : each.socket,
      partsOf(each.answer).length - (isFrame && !each.answer.includes(";") ? 0 : 1),
    );
    return isFrame ? answer.replace(/; open$/, "") : answer;
  } finally {
    socket.destroy();
  }
}

function partsOf(answer: string): string[] {
  return answer.split("; ");
}

function frameOf(message: Uint8Array | string): WireFrame {
  if (typeof message === "string") return { opcode: OPCODE.text, payload: Buffer.from(message) };
  return { opcode: OPCODE.binary, payload: message };
}

export async function upgrade(target: FuzzTarget, socket: RawSocket, withKey = true): Promise<void> {
  const key = withKey ? `Authorization: Bearer ${target.keys.admin}\r\n` : "";
  socket.send(
    `GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${key}` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  const answer = await socket.httpAnswer();
  if (answer?.status !== 101) throw new Error(`no upgrade: ${answer?.status} ${answer?.body}`);
}

async function runBody(target: FuzzTarget, socket: RawSocket, { body, type, isGzip }: BodyCase): Promise<string> {
  const bytes = isGzip === true ? gzipSync(body) : Buffer.from(body);
  const encoding = isGzip === true ? "Content-Encoding: gzip\r\n" : "";
  socket.send(
    `POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${target.keys.write}\r\n` +
      `Content-Type: ${type ?? "application/json"}\r\n${encoding}Content-Length: ${bytes.length}\r\n\r\n`,
  );
  socket.send(bytes);
  const answer = await socket.httpAnswer();
  return answer === undefined ? "ended" : textOfHttp(answer);
}

async function runWire(target: FuzzTarget, socket: RawSocket, { wire, drip, answer }: WireCase): Promise<string> {
  for (const part of wire) {
    const { write, admin } = target.keys;
    socket.send(typeof part === "string" ? part.replaceAll("{KEY}", write).replaceAll("{ADMIN}", admin) : part);
    await socket.drained();
  }
  const dripping = drip === undefined ? undefined : setInterval(() => socket.send(drip), DRIP_MS);
  try {
    const expected = partsOf(answer);
    const answers: string[] = [];
    while (answers.length < expected.length - 1) {
      const found = await socket.httpAnswer();
      if (found === undefined) break;
      answers.push(textOfHttp(found));
    }
    // An answer too many shows as one; an open connection is one that has not ended by now.
    if (expected.at(-1) === "ended") {
      const more = await socket.httpAnswer();
      if (more !== undefined) answers.push(textOfHttp(more));
    }
    return [...answers, socket.ended ? "ended" : "open"].join("; ");
  } finally {
    clearInterval(dripping);
  }
}

async function runFrames(socket: RawSocket, frames: readonly WireFrame[], expected: number): Promise<string> {
  socket.send(Buffer.concat(frames.map(encodeWireFrame)));
  socket.sendFrame({ opcode: OPCODE.binary, payload: lastPing });
  const answers: string[] = [];
  let isOpen = false;
  // An ack comes after its commit, and so behind the answer to what was sent later.
  while (!isOpen || answers.length < expected) {
    const frame = await socket.frame();
    if (frame === undefined) return [...answers, "ended"].join("; ");
    const text = textOfFrame(frame);
    if (text.startsWith("closed")) return [...answers, text].join("; ");
    if (text === "pong" && Buffer.from(frame.payload).includes(Buffer.from(pack(LAST_PING_ID)))) isOpen = true;
    else answers.push(text);
  }
  return [...answers, "open"].join("; ");
}
