/** Texts that are something else to somebody: broken UTF-8, controls, ILP, SQL, CSV, HTML. They are texts, and stay what they are. */
import type { CorpusCase } from "../corpus-case.ts";
import { bytes, map, pack, textOf } from "../msgpack-bytes.ts";
import { among, event, jsonEvent, property } from "./event-bytes.ts";

/** Also sent to QuestDB and read back by `hostile-text.integration.test.ts`. */
export const injections: Readonly<Record<string, string>> = {
  sql: "'; DROP TABLE events; --",
  sqlUnion: "' UNION ALL SELECT * FROM telemetry_config --",
  sqlComment: "/* */ \\' $1 ${1} ::symbol",
  ilp: 'x,tenant=other value=1i 1\nevents,tenant=other event_id="injected" 1',
  ilpEscapes: 'a\\ b\\,c\\=d\\"e\\\\',
  csv: '=cmd|\' /C calc\'!A0,"a""b"\r\n"c"',
  html: "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
  json: '"},{"a":"\\u0000',
  format: "%s %n {0} {{7*7}} ${jndi:ldap://localhost/a}",
  path: "../../../../etc/passwd\u0000.txt",
  header: "a\r\nX-Injected: yes\r\n\r\nHTTP/1.1 200 OK",
  prometheus: 'x"} 1\nweir_injected{a="b"} 2\n# HELP weir x',
  ansi: "\u001b[2J\u001b[31mred\u0007",
  controls: "\u0000\u0001\u0008\u000b\u001f\u007f\u0085",
  newlines: "a\nb\r\nc\rd\u2028e\u2029f",
  bidi: "\u202eabc\u202c\u2066d\u2069",
  zeroWidth: "a\u200bb\u200dc\ufeffd",
  combining: `e${"\u0301".repeat(50)}`,
  emoji: "\u{1F469}\u200D\u{1F469}\u200D\u{1F467}\u{1F1E9}\u{1F1EA}",
  noncharacters: "\uffff\ufdd0\u{1ffff}\u{10ffff}",
  mark: "\ufefftext",
  blanks: "  two  blanks  ",
  normalForms: "\u00e9 e\u0301 \u212b \u00c5",
  quotes: "'\"`\u00b4\u2019\\",
  null: "null",
  empty: "NULL",
};

const plain = Object.entries(injections).flatMap(([name, text]): CorpusCase[] => [
  {
    name: `${name} in every text`,
    frame: among(event({ userId: text, sessionId: text, eventType: text, source: text, properties: { text, [text]: text } })),
    answer: "ack 3 ok",
  },
  {
    name: `${name} in JSON`,
    body: JSON.stringify([
      JSON.parse(jsonEvent({ userId: text, sessionId: text, eventType: text, source: text, properties: { text, [text]: text } })),
    ]),
    answer: "200 ok",
  },
]);

/** Byte sequences that are no UTF-8. Values are mended to U+FFFD; ids are refused, since two of them could become one. */
const broken = ["ff", "c0af", "e080af", "eda080", "f4908080", "c3", "80", "61e282", "f0288cbc"];

const encodings: readonly CorpusCase[] = [
  ...broken.flatMap((hex): CorpusCase[] => {
    const text = textOf(bytes(hex));
    return [
      {
        name: `the bytes ${hex} as an id`,
        frame: among(event({ eventId: text })),
        answer: "ack ok, WEIR_EVENT_FIELD_ENCODING at eventId, ok",
      },
      {
        name: `the bytes ${hex} as a session`,
        frame: among(event({ sessionId: text })),
        answer: "ack ok, WEIR_EVENT_FIELD_ENCODING at sessionId, ok",
      },
      { name: `the bytes ${hex} as a value`, frame: property(text), answer: "ack 3 ok" },
      { name: `the bytes ${hex} as a key`, frame: property(map([text, pack(1)])), answer: "ack 3 ok" },
      {
        name: `the bytes ${hex} in JSON`,
        body: Buffer.concat([Buffer.from('[{"eventId":"'), bytes(hex), Buffer.from('"}]')]),
        answer: "400 WEIR_FRAME_MALFORMED",
        isKept: true,
      },
    ];
  }),
  { name: "broken bytes in the type of a frame", frame: map(["t", textOf(bytes("ff"))]), answer: "WEIR_FRAME_TYPE_UNKNOWN at t" },
  {
    name: "broken bytes in a channel",
    frame: map(["t", pack("sub")], ["id", pack(1)], ["channel", textOf(bytes("ff"))]),
    answer: "WEIR_METRIC_UNKNOWN at channel",
  },
  {
    name: "half a character as an id in JSON",
    body: `[${jsonEvent({}, { eventId: '"a\\ud800b"' })}]`,
    answer: "200 WEIR_EVENT_FIELD_ENCODING at eventId",
  },
  {
    name: "half a character as a type in JSON",
    body: `[${jsonEvent({}, { eventType: '"\\udfff"' })}]`,
    answer: "200 WEIR_EVENT_FIELD_ENCODING at eventType",
  },
  {
    name: "half a character as a value in JSON",
    body: `[${jsonEvent({}, { properties: '{"x":"\\ud800","\\udc00":1}' })}]`,
    answer: "200 ok",
  },
  { name: "UTF-16 as JSON", body: Buffer.from("[{}]", "utf16le"), answer: "400 WEIR_FRAME_MALFORMED", isKept: true },
  { name: "JSON behind a byte order mark", body: "\ufeff[]", answer: "400 WEIR_FRAME_MALFORMED", isKept: true },
];

export const texts: readonly CorpusCase[] = [...plain, ...encodings];
