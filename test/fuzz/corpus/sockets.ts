/** WebSocket frames as no library sends them, on an open connection; RFC 6455 in full is in `websocket-cases.ts`. */
import { limits } from "../../../protocol/limits.ts";
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, pack, publish } from "../msgpack-bytes.ts";
import { closePayload, OPCODE, type WireFrame } from "../raw-socket.ts";
import { event } from "./event-bytes.ts";

const { binary: BINARY, text: TEXT, continuation: MORE, ping: PING, close: CLOSE } = OPCODE;
const frame = (opcode: number, payload: Uint8Array, rest: Partial<WireFrame> = {}): WireFrame => ({ opcode, payload, ...rest });
const ping = pack({ t: "ping" });
const nothing = new Uint8Array(0);

function inParts(payload: Uint8Array, size: number): WireFrame[] {
  const parts: WireFrame[] = [];
  for (let from = 0; from < payload.length; from += size) {
    const fin = from + size >= payload.length;
    parts.push(frame(from === 0 ? BINARY : MORE, payload.subarray(from, from + size), { fin }));
  }
  return parts;
}

const onePublish = publish(event());

export const sockets: readonly CorpusCase[] = [
  { name: "a publish byte by byte in fragments", socket: inParts(publish(event(), event()), 1), answer: "ack 2 ok; open" },
  {
    name: "pings between the fragments of a publish",
    socket: inParts(publish(event()), 100).flatMap((part) => [part, frame(PING, nothing)]),
    answer: `${"PONG; ".repeat(Math.ceil(onePublish.length / 100))}ack ok; open`,
  },
  {
    name: "a frame within the fragments of another is joined, and judged as it then reads",
    socket: [
      frame(BINARY, ping.subarray(0, 3), { fin: false }),
      frame(BINARY, pack({ t: "ping" })),
      frame(MORE, ping.subarray(3)),
    ],
    answer: "WEIR_FRAME_TYPE_UNKNOWN at t; WEIR_FRAME_TYPE_UNKNOWN; open",
  },
  { name: "no mask", socket: [frame(BINARY, ping, { masked: "unsaid" })], answer: "pong; open" },
  { name: "a reserved bit", socket: [frame(BINARY, ping, { reserved: 4 })], answer: "ended" },
  { name: "a reserved opcode", socket: [frame(3, ping)], answer: "ended" },
  { name: "a reserved control opcode", socket: [frame(11, nothing)], answer: "ended" },
  { name: "a continuation of nothing", socket: [frame(MORE, ping)], answer: "ended" },
  { name: "a ping of 126 bytes", socket: [frame(PING, new Uint8Array(126))], answer: "ended" },
  { name: "a ping in fragments", socket: [frame(PING, nothing, { fin: false })], answer: "ended" },
  { name: "a close of 126 bytes", socket: [frame(CLOSE, closePayload(1000, "r".repeat(124)))], answer: "ended" },
  { name: "a close with the code 1005", socket: [frame(CLOSE, closePayload(1005))], answer: "closed" },
  { name: "a close with one byte", socket: [frame(CLOSE, bytes(3))], answer: "closed" },
  { name: "a close", socket: [frame(CLOSE, closePayload(1000)), frame(BINARY, ping)], answer: "closed 1000" },
  { name: "a text that is no UTF-8", socket: [frame(TEXT, bytes(0xff))], answer: "ended" },
  { name: "a length of 2^63", socket: [frame(BINARY, nothing, { length: 2 ** 63, lengthBits: 64 })], answer: "ended" },
  { name: "a length past the limit", socket: [frame(BINARY, nothing, { length: 2 * limits.frameBytesMax })], answer: "ended" },
  {
    name: "fragments past the limit",
    socket: [
      frame(BINARY, new Uint8Array(limits.frameBytesMax), { fin: false }),
      frame(MORE, new Uint8Array(limits.frameBytesMax), { fin: false }),
    ],
    answer: "ended",
  },
  {
    name: "10,000 pings",
    socket: new Array<WireFrame>(10_000).fill(frame(PING, new Uint8Array(100))),
    answer: `${"PONG; ".repeat(10_000)}open`,
  },
  {
    name: "10,000 pongs that nobody asked for",
    socket: new Array<WireFrame>(10_000).fill(frame(10, new Uint8Array(100))),
    answer: "open",
  },
  {
    name: "empty fragments without end",
    socket: [
      frame(BINARY, nothing, { fin: false }),
      ...new Array<WireFrame>(10_000).fill(frame(MORE, nothing, { fin: false })),
      frame(MORE, ping),
    ],
    answer: "pong; open",
  },
  {
    name: "one wrong frame too many",
    socket: new Array<WireFrame>(limits.errorsPerConnectionMax + 1).fill(frame(TEXT, nothing)),
    answer: `${"WEIR_FRAME_NOT_BINARY; ".repeat(limits.errorsPerConnectionMax + 1)}WEIR_CONNECTION_ABUSED; closed 4400`,
  },
  { name: "events before a key", key: false, socket: [frame(BINARY, onePublish)], answer: "WEIR_AUTH_KEY_MISSING; closed 4401" },
  {
    name: "bytes that are no frame before a key",
    key: false,
    socket: [frame(BINARY, bytes(0xc1))],
    answer: "WEIR_FRAME_MALFORMED; WEIR_AUTH_KEY_MISSING; closed 4401",
  },
  {
    name: "a text before a key",
    key: false,
    socket: [frame(TEXT, nothing)],
    answer: "WEIR_FRAME_NOT_BINARY; WEIR_AUTH_KEY_MISSING; closed 4401",
  },
];
