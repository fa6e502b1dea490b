/** Reference pages made from their sources: settings from the config schema, errors from the table of codes. */
import { entryOf, errorCodes, isErrorCode } from "../protocol/error-codes.ts";
import { describeConfig } from "./config.ts";

/** The text of `docs/configuration.md`. */
export function configurationMarkdown(): string {
  const rows = describeConfig().map(({ flag, env, default: value, description }) => [
    `\`${flag}\``,
    `\`${env}\``,
    value,
    description,
  ]);
  return page(
    "Configuration",
    "Flags of `weir serve` win over environment variables, and those over defaults. Unknown flags and unknown `WEIR_*` " +
      "variables are errors. Generated from `server/config.ts`.",
    table(["Flag", "Variable", "Default", "What it does"], rows),
  );
}

/** The text of `docs/errors.md`. */
export function errorsMarkdown(): string {
  const rows = Object.keys(errorCodes)
    .filter(isErrorCode)
    .map((code) => {
      const { message, retryable, status, close } = entryOf(code);
      return [`\`${code}\``, message, retryable ? "yes" : "no", String(status), close === undefined ? "" : String(close)];
    });
  return page(
    "Errors",
    "Codes are stable; messages may be reworded. Retryable means that the same request can succeed later. A code with a " +
      "close code ends a WebSocket connection. Generated from `protocol/error-codes.ts`.",
    table(["Code", "Message", "Retryable", "HTTP status", "Close code"], rows),
  );
}

function page(title: string, lead: string, body: string): string {
  return `# ${title}\n${lead}\n\n${body}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
