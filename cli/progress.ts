/** Progress on stderr: a bar on a terminal, a line every two seconds elsewhere, nothing with --json. */
import { SingleBar } from "cli-progress";

export interface ProgressState {
  /** 0 to 1; undefined when the end is not known. */
  readonly share: number | undefined;
  readonly text: string;
}

export interface Progress {
  update(state: ProgressState): void;
  stop(): void;
}

const LINE_EVERY_MS = 2_000;
const STEPS = 1_000;

export function startProgress(silent: boolean): Progress {
  if (silent) return { update: () => undefined, stop: () => undefined };
  return process.stderr.isTTY ? bar() : lines();
}

function bar(): Progress {
  const single = new SingleBar({ format: "{bar} {percentage}% {text}", hideCursor: true, stream: process.stderr, fps: 10 });
  single.start(STEPS, 0, { text: "" });
  return {
    update: ({ share, text }) => single.update(Math.round((share ?? 0) * STEPS), { text }),
    stop: () => single.stop(),
  };
}

function lines(): Progress {
  let lastAtMs = Date.now();
  return {
    update: ({ share, text }) => {
      const nowMs = Date.now();
      if (nowMs - lastAtMs < LINE_EVERY_MS) return;
      lastAtMs = nowMs;
      process.stderr.write(`${share === undefined ? "" : `${Math.floor(share * 100)}% `}${text}\n`);
    },
    stop: () => undefined,
  };
}
