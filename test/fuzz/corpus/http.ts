/** HTTP as nobody should send it: requests hidden in requests, lengths that lie, heads without end, and upgrades that are none. */
import type { CorpusCase, WireCase } from "../corpus-case.ts";

const HOST = "Host: localhost\r\n";
const KEY = "Authorization: Bearer {KEY}\r\n";
/** What a smuggler would have the server answer. */
const hidden = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

function post(headers: string, body: string): string {
  return `POST /v1/events HTTP/1.1\r\n${HOST}${KEY}${headers}\r\n${body}`;
}

function get(headers: string, path = "/healthz"): string {
  return `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;
}

const ambiguous = "400 WEIR_FRAME_MALFORMED at content-length; ended";

/** Ambiguous lengths, alone (a coded answer) and with a request behind them (nothing behind them is answered). */
const smuggling = (
  [
    ["two lengths", "Content-Length: 0\r\nContent-Length: 43\r\n", ""],
    ["twice the same length", "Content-Length: 2\r\nContent-Length: 2\r\n", "[]"],
    ["no length and no body", "Content-Length: \r\n", ""],
    ["an unknown transfer coding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"],
    ["two transfer codings", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"],
    ["chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"],
    ["chunked, then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"],
  ] as const
).flatMap(([name, headers, body]): WireCase[] => [
  { name: `${name}, on events`, wire: [post(headers, body)], answer: ambiguous },
  { name: `${name}, on a route without a body`, wire: [get(headers), body], answer: ambiguous },
  { name: `${name}, on no route`, wire: [get(headers, "/nothing"), body], answer: ambiguous },
  { name: `${name}, with a request behind it`, wire: [post(headers, body) + hidden], answer: "ended" },
  { name: `${name}, with a request behind a GET`, wire: [get(headers) + body + hidden], answer: "ended" },
]);

/** Refused by uWS itself, without a code of ours. */
const byUws = (
  [
    ["a length and chunks", post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400; ended"],
    ["chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "0\r\n\r\n"), "400; ended"],
    ["a length of +2", post("Content-Length: +2\r\n", "[]"), "400; ended"],
    ["a length of -2", post("Content-Length: -2\r\n", "[]"), "400; ended"],
    ["a length of 0x2", post("Content-Length: 0x2\r\n", "[]"), "400; ended"],
    ["a length of 2,2", post("Content-Length: 2,2\r\n", "[]"), "400; ended"],
    ["a length of 2^64 + 2", post("Content-Length: 18446744073709551618\r\n", "[]"), "400; ended"],
    ["a chunk of 2^64 - 1", post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n"), "400; ended"],
    ["a chunk of -2", post("Transfer-Encoding: chunked\r\n", "-2\r\n[]\r\n0\r\n\r\n"), "400; ended"],
    ["a chunk of 0x2", post("Transfer-Encoding: chunked\r\n", "0x2\r\n[]\r\n0\r\n\r\n"), "400; ended"],
    ["bare line feeds", "GET /healthz HTTP/1.1\nHost: localhost\n\n", "505; ended"],
    ["HTTP/1.0", "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", "505; ended"],
    ["HTTP/2 from the start", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505; ended"],
    ["no version", "GET /healthz\r\nHost: localhost\r\n\r\n", "505; ended"],
    ["a TLS hello", "\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n", "505; ended"],
    ["CONNECT", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "505; ended"],
    ["an absolute address", "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "505; ended"],
  ] as const
).map(([name, text, answer]): WireCase => ({ name, wire: [text], answer }));

const bodies: readonly CorpusCase[] = [
  {
    name: "a length of 100 GB",
    wire: [post("Content-Length: 99999999999\r\n", "[]")],
    answer: "413 WEIR_FRAME_TOO_LARGE; ended",
  },
  { name: "no length", wire: [post("", "")], answer: "400 WEIR_FRAME_MALFORMED; open", isKept: true },
  { name: "a body in chunks", wire: [post("Transfer-Encoding: chunked\r\n", "2\r\n[]\r\n0\r\n\r\n")], answer: "200; open" },
  {
    name: "a length on a GET is a body that nobody reads",
    wire: [get(`Content-Length: ${hidden.length}\r\n`) + hidden],
    answer: "200; open",
  },
  { name: "three requests at once", wire: [hidden + hidden + hidden], answer: "200; 200; 200; open" },
  {
    name: "a request behind one that is not answered yet",
    wire: [post("Content-Length: 2\r\n", "[]") + hidden],
    answer: "ended",
  },
  {
    name: "an encoding that nobody reads",
    wire: [post("Content-Encoding: br\r\nContent-Length: 2\r\n", "[]")],
    answer: "415 WEIR_BODY_TYPE_UNSUPPORTED at content-encoding; open",
  },
  {
    name: "two encodings",
    wire: [post("Content-Encoding: gzip, gzip\r\nContent-Length: 2\r\n", "[]")],
    answer: "415 WEIR_BODY_TYPE_UNSUPPORTED at content-encoding; open",
  },
  {
    name: "a type that nobody reads",
    wire: [post("Content-Type: text/html\r\nContent-Length: 2\r\n", "[]")],
    answer: "415 WEIR_BODY_TYPE_UNSUPPORTED at content-type; open",
  },
];

const heads: readonly CorpusCase[] = [
  {
    name: "16 MiB of a header",
    wire: [`GET /healthz HTTP/1.1\r\nX: ${"x".repeat(16 * 1024 * 1024)}`],
    answer: "431; ended",
    or: ["ended"],
  },
  {
    name: "a million headers",
    wire: [`GET /healthz HTTP/1.1\r\n${"X: y\r\n".repeat(1e6)}`],
    answer: "431; ended",
    or: ["ended"],
  },
  {
    name: "a method of markup",
    wire: ["<b>X</b> /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    answer: "405 WEIR_HTTP_METHOD; open",
  },
  { name: "a path of markup", wire: [get("", "/<script>alert(1)</script>")], answer: "404 WEIR_HTTP_NOT_FOUND; open" },
  { name: "a path up the tree", wire: [get("", "/../../etc/passwd")], answer: "404 WEIR_HTTP_NOT_FOUND; open" },
  { name: "a path with broken escapes", wire: [get(KEY, "/v1/sessions/%ff%00%zz")], answer: "404 WEIR_HTTP_NOT_FOUND; open" },
  {
    name: "a key of 100 KiB",
    wire: [`GET /v1/metrics-catalog HTTP/1.1\r\n${HOST}Authorization: Bearer ${"k".repeat(100 * 1024)}\r\n\r\n`],
    answer: "401 WEIR_AUTH_KEY_UNKNOWN; open",
    or: ["431; open", "431; ended", "ended"],
  },
  {
    name: "a key with a line of its own",
    wire: [get("Authorization: Bearer {KEY} x\r\n", "/v1/metrics-catalog")],
    answer: "401 WEIR_AUTH_KEY_UNKNOWN at authorization; open",
  },
  {
    name: "a question for a thousand names",
    wire: [get("Authorization: Bearer {ADMIN}\r\n", `/v1/realtime?names=${"a,".repeat(1_000)}`)],
    answer: "400 WEIR_QUERY_INVALID at names; open",
  },
];

/** uWS takes these for heads that are not whole yet: nothing is answered, and the connection ends in ten seconds or so. */
export const slowHeads: readonly WireCase[] = [
  { name: "nothing at all", wire: [""], answer: "ended" },
  { name: "half a head", wire: ["GET /healthz HTTP/1.1\r\nHost:"], answer: "ended" },
  { name: "no host", wire: ["GET /healthz HTTP/1.1\r\n\r\n"], answer: "ended" },
  { name: "a NUL in a header", wire: [get("X: a\u0000b\r\n")], answer: "ended" },
  { name: "a header in two lines", wire: [get("X: a\r\n b\r\n")], answer: "ended" },
  { name: "a line without a colon", wire: [get("abc\r\n")], answer: "ended" },
  { name: "a blank before the colon of a length", wire: [post("Content-Length : 2\r\n", "[]")], answer: "ended" },
  { name: "200 headers", wire: [get(Array.from({ length: 200 }, (_, index) => `X-${index}: 1\r\n`).join(""))], answer: "ended" },
  { name: "half a body", wire: [post("Content-Length: 100\r\n", "[")], answer: "ended" },
  { name: "a header now and then", wire: ["GET /healthz HTTP/1.1\r\nHost: localhost\r\n"], drip: "X: 1\r\n", answer: "ended" },
  { name: "a byte of a body now and then", wire: [post("Content-Length: 100000\r\n", "[")], drip: " ", answer: "ended" },
  { name: "a chunk now and then", wire: [post("Transfer-Encoding: chunked\r\n", "")], drip: "1\r\n \r\n", answer: "ended" },
];

const UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const VERSION = "Sec-WebSocket-Version: 13\r\n";
const SOCKET_KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

function upgrade(headers: string): string {
  return get(KEY + headers, "/v1/stream");
}

function noUpgrade(name: string, headers: string, path: string): WireCase {
  return { name, wire: [upgrade(headers)], answer: `400 WEIR_FRAME_FIELD_INVALID at ${path}; ended` };
}

const upgrades: readonly CorpusCase[] = [
  { name: "an upgrade", wire: [upgrade(UPGRADE + VERSION + SOCKET_KEY)], answer: "101; open" },
  noUpgrade("an upgrade without a version", UPGRADE + SOCKET_KEY, "sec-websocket-version"),
  noUpgrade("an upgrade of version 8", `${UPGRADE}${SOCKET_KEY}Sec-WebSocket-Version: 8\r\n`, "sec-websocket-version"),
  noUpgrade("an upgrade without a key", UPGRADE + VERSION, "upgrade"),
  noUpgrade("an upgrade with a short key", `${UPGRADE}${VERSION}Sec-WebSocket-Key: abc\r\n`, "upgrade"),
  noUpgrade(
    "an upgrade with a key that is no base64",
    `${UPGRADE}${VERSION}Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!\r\n`,
    "sec-websocket-key",
  ),
  noUpgrade("an upgrade to h2c", `Upgrade: h2c\r\nConnection: Upgrade\r\n${VERSION}${SOCKET_KEY}`, "upgrade"),
  noUpgrade("an upgrade that does not say so", VERSION + SOCKET_KEY, "upgrade"),
  noUpgrade(
    "an upgrade whose connection stays as it is",
    `Upgrade: websocket\r\nConnection: keep-alive\r\n${VERSION}${SOCKET_KEY}`,
    "connection",
  ),
  noUpgrade("an upgrade with a body", `${UPGRADE}${VERSION}${SOCKET_KEY}Content-Length: 4\r\n`, "content-length"),
  noUpgrade(
    "an upgrade with two lengths",
    `${UPGRADE}${VERSION}${SOCKET_KEY}Content-Length: 0\r\nContent-Length: 0\r\n`,
    "content-length",
  ),
  noUpgrade("an upgrade in chunks", `${UPGRADE}${VERSION}${SOCKET_KEY}Transfer-Encoding: chunked\r\n`, "content-length"),
  {
    name: "an upgrade from another page",
    wire: [upgrade(`${UPGRADE}${VERSION}${SOCKET_KEY}Origin: https://evil.example\r\n`)],
    answer: "403 WEIR_ORIGIN_REFUSED at origin; ended",
  },
  {
    name: "an upgrade from no page at all",
    wire: [upgrade(`${UPGRADE}${VERSION}${SOCKET_KEY}Origin: null\r\n`)],
    answer: "403 WEIR_ORIGIN_REFUSED at origin; ended",
  },
  {
    name: "an upgrade from our own page",
    wire: [upgrade(`${UPGRADE}${VERSION}${SOCKET_KEY}Origin: http://localhost\r\n`)],
    answer: "101; open",
  },
  {
    name: "an upgrade with extensions and protocols",
    wire: [
      upgrade(
        `${UPGRADE}${VERSION}${SOCKET_KEY}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=999\r\nSec-WebSocket-Protocol: a, b\r\n`,
      ),
    ],
    answer: "101; open",
  },
  {
    name: "a wrong key and frames behind the refusal",
    wire: [upgrade(`${UPGRADE}${VERSION}${SOCKET_KEY}`).replace("{KEY}", "weir_strangers_x") + hidden],
    answer: "ended",
  },
];

export const http: readonly CorpusCase[] = [...smuggling, ...byUws, ...bodies, ...heads, ...upgrades];
