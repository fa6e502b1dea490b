/** Runs a program of the machine to its end, with a deadline, and keeps what it said. Never throws: a failure is an outcome. */
import { spawn } from "node:child_process";
import { StringDecoder } from "node:string_decoder";

const OUTPUT_CHARACTERS_MAX = 16_384;

export interface RunOutcome {
  readonly ok: boolean;
  /** The end of what it wrote to both of its outputs, or why it could not be started. */
  readonly output: string;
}

export async function run(
  program: string,
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly timeoutMs: number },
): Promise<RunOutcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env: options.env, stdio: ["ignore", "pipe", "pipe"] });
    // Not the option `timeout` of spawn: its timer outlives a program that could not be started, and keeps the process.
    const deadline = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      const decoder = new StringDecoder("utf8");
      stream.on("data", (chunk: Buffer) => {
        output = (output + decoder.write(chunk)).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    child.once("error", (error) => {
      clearTimeout(deadline);
      resolve({ ok: false, output: error.message });
    });
    child.once("close", (code, signal) => {
      clearTimeout(deadline);
      if (signal !== null) output += `\nended by ${signal}`;
      resolve({ ok: code === 0, output });
    });
  });
}
