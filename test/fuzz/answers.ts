/** What a server answered, as the texts in which the corpus states what it must answer. */
import { decode } from "msgpackr";
import { OPCODE, type HttpAnswer, type ServerFrame } from "./raw-socket.ts";

type Fields = Readonly<Record<string, unknown>>;

export function textOfFrame({ opcode, payload }: ServerFrame): string {
  switch (opcode) {
    case OPCODE.binary:
      return textOfMessage(decode(payload) as Fields);
    case OPCODE.pong:
      return "PONG";
    case OPCODE.close:
      return payload.length < 2 ? "closed" : `closed ${Buffer.from(payload).readUInt16BE()}`;
    default:
      return `opcode ${opcode}`;
  }
}

function textOfMessage(message: Fields): string {
  const type = String(message["t"]);
  if (type === "error") return textOfError(message);
  return type === "ack" ? `ack ${textOfResults(message)}`.trimEnd() : type;
}

export function textOfHttp({ status, body, headers }: HttpAnswer): string {
  const type = headers.get("content-type") ?? "";
  if (body === "" || !type.includes("json")) return String(status);
  const fields = JSON.parse(body) as Fields;
  const { title, detail } = fields;
  if (typeof title === "string" && detail === `${title} ${title}`) throw new Error(`a doubled text: ${detail}`);
  if (typeof fields["code"] === "string") return `${status} ${textOfError(fields)}`;
  return `${status} ${typeof fields["totalEvents"] === "number" ? textOfResults(fields) : ""}`.trimEnd();
}

function textOfError(fields: Fields): string {
  const path = fields["path"];
  return `${String(fields["code"])}${typeof path === "string" ? ` at ${path}` : ""}`;
}

/** `2 ok, WEIR_EVENT_LATE, ok` */
function textOfResults(fields: Fields): string {
  const verdicts = new Array<string>(Number(fields["totalEvents"])).fill("ok");
  for (const result of (fields["results"] ?? []) as readonly Fields[]) {
    if (typeof result["code"] === "string") verdicts[Number(result["index"])] = textOfError(result);
  }
  const runs: { verdict: string; count: number }[] = [];
  for (const verdict of verdicts) {
    const last = runs.at(-1);
    if (last?.verdict === verdict) last.count++;
    else runs.push({ verdict, count: 1 });
  }
  return runs.map(({ verdict, count }) => (count === 1 ? verdict : `${count} ${verdict}`)).join(", ");
}

export interface Counted {
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
}

/** What the verdicts in an expected answer put into the ledger. */
export function countedIn(answer: string): Counted {
  const counted = { accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  // A frame that is refused as a whole has no verdicts.
  const decided = answer.split("; ").flatMap((part) => /^(?:ack|200) (.*)$/.exec(part)?.[1]?.split(", ") ?? []);
  for (const part of decided) {
    const [, count = "1", verdict = ""] = /^(?:(\d+) )?(ok|WEIR_\w+)/.exec(part) ?? [];
    if (verdict === "ok") counted.accepted += Number(count);
    else if (verdict === "WEIR_EVENT_DUPLICATE") counted.duplicate += Number(count);
    else if (verdict === "WEIR_EVENT_LATE") counted.late += Number(count);
    else counted.invalid += Number(count);
  }
  return counted;
}
