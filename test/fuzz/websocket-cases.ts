/**
 * What RFC 6455 asks of a server's sockets, as a table: what a client sends, what must come back from a server that echoes, and
 * how the connection then stands. The families and their order are those of the Autobahn suite. `deviations` names each case in
 * which uWS does otherwise, and why we live with it; `websocket-conformance.test.ts` fails when that list is not exact.
 */
import { limits } from "../../protocol/limits.ts";
import { closePayload, OPCODE, type WireFrame } from "./raw-socket.ts";

export type Message = readonly [opcode: number, payload: Uint8Array];

export interface WebSocketCase {
  readonly name: string;
  readonly send: readonly WireFrame[];
  /** What comes back, fragments joined. Close frames stand in `end`. */
  readonly answers: readonly Message[];
  /** `open`: a ping is still answered. `fails`: the server ends the connection. A number: it does so with this close code. */
  readonly end: "open" | "fails" | number;
}

const { text: TEXT, binary: BINARY, continuation: MORE, ping: PING, pong: PONG, close: CLOSE } = OPCODE;

const utf8 = (value: string): Uint8Array => Buffer.from(value);
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const filled = (length: number): Uint8Array => new Uint8Array(length).fill(0x2a);
const frame = (opcode: number, payload: Uint8Array | string = "", rest: Partial<WireFrame> = {}): WireFrame => ({
  opcode,
  payload: typeof payload === "string" ? utf8(payload) : payload,
  ...rest,
});
const start = (opcode: number, payload: Uint8Array | string): WireFrame => frame(opcode, payload, { fin: false });
const part = (payload: Uint8Array | string): WireFrame => start(MORE, payload);
const last = (payload: Uint8Array | string): WireFrame => frame(MORE, payload);

function echoed(name: string, send: readonly WireFrame[], ...answers: readonly Message[]): WebSocketCase {
  return { name, send, answers, end: "open" };
}

function failing(name: string, send: readonly WireFrame[], ...answers: readonly Message[]): WebSocketCase {
  return { name, send, answers, end: "fails" };
}

function closing(name: string, code: number, ...send: readonly WireFrame[]): WebSocketCase {
  return { name, send, answers: [], end: code };
}

const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536];

const framing: readonly WebSocketCase[] = [
  ...lengths.map((length) => echoed(`1.1 text of ${length} bytes`, [frame(TEXT, filled(length))], [TEXT, filled(length)])),
  ...lengths.map((length) => echoed(`1.2 binary of ${length} bytes`, [frame(BINARY, filled(length))], [BINARY, filled(length)])),
  failing("1.3 a length whose first bit is set", [frame(BINARY, "", { length: 2 ** 63, lengthBits: 64 })]),
  failing("1.3 a short length in 16 bits", [frame(BINARY, "ab", { lengthBits: 16 })]),
  failing("1.3 a short length in 64 bits", [frame(BINARY, "ab", { lengthBits: 64 })]),
  failing("1.4 a frame without a mask", [frame(BINARY, "ab", { masked: false })]),
  failing("1.4 a frame that does not say that it has a mask", [frame(BINARY, "ab", { masked: "unsaid" })]),
];

const pings: readonly WebSocketCase[] = [
  echoed("2.1 a ping without a payload", [frame(PING)], [PONG, utf8("")]),
  echoed("2.2 a ping with a text", [frame(PING, "hello")], [PONG, utf8("hello")]),
  echoed("2.3 a ping with bytes", [frame(PING, bytes(0, 255, 254, 253))], [PONG, bytes(0, 255, 254, 253)]),
  echoed("2.4 a ping of 125 bytes", [frame(PING, filled(125))], [PONG, filled(125)]),
  failing("2.5 a ping of 126 bytes", [frame(PING, filled(126))]),
  echoed("2.6 a pong that nobody asked for", [frame(PONG)]),
  echoed("2.7 a pong with a payload, then a ping", [frame(PONG, "x"), frame(PING, "y")], [PONG, utf8("y")]),
  echoed(
    "2.10 ten pings at once",
    Array.from({ length: 10 }, (_, index) => frame(PING, `p${index}`)),
    ...Array.from({ length: 10 }, (_, index): Message => [PONG, utf8(`p${index}`)]),
  ),
];

const reserved: readonly WebSocketCase[] = [
  ...[1, 2, 3, 4, 5, 6, 7].map((bits) => failing(`3.${bits} reserved bits ${bits}`, [frame(TEXT, "x", { reserved: bits })])),
  failing("3.8 reserved bits of a ping", [frame(PING, "x", { reserved: 4 })]),
  ...[3, 4, 5, 6, 7].map((opcode) => failing(`4.1 reserved opcode ${opcode}`, [frame(opcode, "x")])),
  ...[11, 12, 13, 14, 15].map((opcode) => failing(`4.2 reserved control opcode ${opcode}`, [frame(opcode, "x")])),
];

const fragments: readonly WebSocketCase[] = [
  failing("5.1 a ping in two fragments", [start(PING, "a"), last("b")]),
  failing("5.2 a pong in two fragments", [start(PONG, "a"), last("b")]),
  echoed("5.3 a text in two fragments", [start(TEXT, "a"), last("b")], [TEXT, utf8("ab")]),
  echoed("5.4 binary in three fragments", [start(BINARY, "a"), part("b"), last("c")], [BINARY, utf8("abc")]),
  echoed("5.5 empty fragments", [start(TEXT, ""), part(""), last("")], [TEXT, utf8("")]),
  echoed("5.6 a ping between fragments", [start(TEXT, "a"), frame(PING, "p"), last("b")], [PONG, utf8("p")], [TEXT, utf8("ab")]),
  failing("5.9 a continuation of nothing", [last("a")]),
  failing("5.10 a continuation of nothing, to be continued", [part("a"), last("b")]),
  failing("5.12 a continuation behind a whole message", [frame(TEXT, "a"), last("b")], [TEXT, utf8("a")]),
  failing("5.15 a second message within the first", [start(TEXT, "a"), frame(TEXT, "b")]),
  failing("5.16 a second start within the first", [start(TEXT, "a"), start(TEXT, "b"), last("c")]),
  failing("5.17 binary within binary", [start(BINARY, "a"), frame(BINARY, "b"), last("c")]),
  failing("5.18 binary within a text", [start(TEXT, "a"), frame(BINARY, "b"), last("c")]),
  failing("5.18 a text within binary", [start(BINARY, "a"), frame(TEXT, "b"), last("c")]),
  echoed(
    "5.19 a thousand fragments",
    [start(BINARY, "x"), ...Array.from({ length: 998 }, () => part("x")), last("x")],
    [BINARY, utf8("x".repeat(1_000))],
  ),
];

/** Byte sequences that are no UTF-8 (RFC 3629): cut off, overlong, surrogates, past U+10FFFF, stray. */
const notUtf8: readonly (readonly [string, readonly number[]])[] = [
  ["a stray continuation", [0x80]],
  ["cut off after two of three", [0xe2, 0x82]],
  ["cut off within a text", [0x61, 0xc3, 0x62]],
  ["overlong in two", [0xc0, 0xaf]],
  ["overlong in three", [0xe0, 0x80, 0xaf]],
  ["overlong in four", [0xf0, 0x80, 0x80, 0xaf]],
  ["five bytes", [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ["a surrogate", [0xed, 0xa0, 0x80]],
  ["past the last code point", [0xf4, 0x90, 0x80, 0x80]],
  ["fe", [0xfe]],
  ["ff", [0xff]],
];
const isUtf8 = [
  "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1",
  "\u{1F600}",
  "\u0000",
  "\uFFFF",
  "\u{10FFFF}",
  "\uFEFFx",
  "\uD7FF\uE000",
];

const encoding: readonly WebSocketCase[] = [
  ...isUtf8.map((value, index) => echoed(`6.1 UTF-8 ${index}`, [frame(TEXT, value)], [TEXT, utf8(value)])),
  echoed("6.2 UTF-8 cut within a character", [start(TEXT, bytes(0xe2, 0x82)), last(bytes(0xac))], [TEXT, utf8("\u20ac")]),
  ...notUtf8.map(([name, values]) => failing(`6.3 not UTF-8: ${name}`, [frame(TEXT, bytes(...values))])),
  failing("6.3 not UTF-8 over two fragments", [start(TEXT, bytes(0xe2, 0x82)), last(bytes(0x61))]),
  // The end of the message is never sent.
  failing("6.4 not UTF-8 is found before the message is whole", [start(TEXT, bytes(0xff, 0xff)), frame(PING, "x")]),
  echoed("6.5 what is no UTF-8 as binary", [frame(BINARY, bytes(0xff, 0xfe))], [BINARY, bytes(0xff, 0xfe)]),
];

const goodCodes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
const badCodes = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];

const closes: readonly WebSocketCase[] = [
  failing("7.1 a close without a code", [frame(CLOSE)]),
  failing("7.1 a close with one byte", [frame(CLOSE, bytes(3))]),
  closing("7.3 a close with a reason", 1000, frame(CLOSE, closePayload(1000, "good bye"))),
  closing("7.3 a close with the longest reason", 1000, frame(CLOSE, closePayload(1000, "r".repeat(123)))),
  failing("7.3 a close of 126 bytes", [frame(CLOSE, closePayload(1000, "r".repeat(124)))]),
  failing("7.3 a close in two fragments", [start(CLOSE, closePayload(1000)), last("x")]),
  failing("7.5 a reason that is no UTF-8", [frame(CLOSE, closePayload(1000, bytes(0xff, 0xfe)))]),
  closing("7.6 a message behind a close", 1000, frame(CLOSE, closePayload(1000)), frame(TEXT, "late")),
  ...goodCodes.map((code) => closing(`7.7 close code ${code}`, code, frame(CLOSE, closePayload(code)))),
  ...badCodes.map((code) => failing(`7.9 close code ${code}`, [frame(CLOSE, closePayload(code))])),
];

const KIB = 1024;
const largest = limits.frameBytesMax;

const sizes: readonly WebSocketCase[] = [
  ...[64 * KIB, 256 * KIB, 1024 * KIB, largest].map((length) =>
    echoed(`9.1 binary of ${length / KIB} KiB`, [frame(BINARY, filled(length))], [BINARY, filled(length)]),
  ),
  ...[64, 4 * KIB].map((size) =>
    echoed(
      `9.3 a message of 1 MiB in fragments of ${size} bytes`,
      [
        start(BINARY, filled(size)),
        ...Array.from({ length: (1024 * KIB) / size - 2 }, () => part(filled(size))),
        last(filled(size)),
      ],
      [BINARY, filled(1024 * KIB)],
    ),
  ),
  failing("9.9 a message past the limit", [frame(BINARY, "", { length: 2 * largest })]),
  failing("9.9 a message past the limit in fragments", [
    start(BINARY, filled(largest)),
    part(filled(largest)),
    last(filled(largest)),
  ]),
];

export const webSocketCases: readonly WebSocketCase[] = [
  ...framing,
  ...pings,
  ...reserved,
  ...fragments,
  ...encoding,
  ...closes,
  ...sizes,
];

const longLength = "uWS takes a length however it is written; a frame means the same";
const noMask = "uWS does not look at the mask bit and always takes four bytes for the mask";
const joined = "uWS joins what stands between the fragments of a message; the bytes that come out are judged as any others";
const codeUnread = "uWS reads 1012 to 3999 as no code, and closes with none; the connection is closed as it should be";

/** What uWS does otherwise, by the names above. None leaves a frame without a coded answer or the connection in doubt. */
export const deviations: Readonly<Record<string, string>> = {
  "1.3 a short length in 16 bits": longLength,
  "1.3 a short length in 64 bits": longLength,
  "1.4 a frame that does not say that it has a mask": noMask,
  "5.12 a continuation behind a whole message": "what uWS had to send in the turn in which it ends the connection is lost",
  "5.17 binary within binary": joined,
  "5.18 binary within a text": joined,
  "6.4 not UTF-8 is found before the message is whole": "uWS checks a text when it is whole; texts are refused anyhow",
  ...Object.fromEntries([1012, 1013, 1014, 3000, 3999].map((code) => [`7.7 close code ${code}`, codeUnread])),
};
