/** Values of command line options. A wrong one is wrong usage. */
import { InvalidArgumentError } from "commander";
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "../protocol/windows.ts";

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("It must be a whole number above 0.");
  }
  return value;
}

const unitsMs = { s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS, d: DAY_MS } as const;

/** `90s`, `15m`, `1h` or `30d` in milliseconds. */
export function duration(text: string): number {
  const [, count = "", unit = "s"] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count === "") throw new InvalidArgumentError("It must read like 90s, 15m, 1h or 30d.");
  return Number(count) * unitsMs[unit as keyof typeof unitsMs];
}

/** ISO 8601 with a zone, or epoch milliseconds. */
export function instant(text: string): number {
  const timeMs = /^[0-9]{1,16}$/.test(text)
    ? Number(text)
    : /(Z|[+-][0-9]{2}:?[0-9]{2})$/i.test(text)
      ? Date.parse(text)
      : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new InvalidArgumentError("It must be a time such as 2030-01-31T00:00:00Z, or epoch milliseconds.");
  return timeMs;
}

/** `a,b , c` as a list without empty parts. */
export function commaList(text: string): string[] {
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) throw new InvalidArgumentError("It must name at least one.");
  return parts;
}

/** All of stdin as text. */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString("utf8");
}
