/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--case N]`: the random part for as long as you like, or one case of it again.
 * `npm run fuzz -- --frames N [--seed N] [--case N]`: so many forged frames against the readers alone, from case N on.
 */
import { parseArgs } from "node:util";
import { FrameFailure, fuzzFrames } from "./frames/frame-fuzz.ts";
import { fuzz, FuzzFailure } from "./fuzz-run.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    seed: { type: "string" },
    case: { type: "string" },
    frames: { type: "string" },
  },
});

function numberOf(text: string | undefined, byDefault: number): number {
  const value = text === undefined ? byDefault : Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`usage: npm run fuzz -- [--seconds N | --frames N] [--seed N] [--case N]; \`${text}\` is not a number`);
  process.exit(2);
}

const seed = numberOf(values.seed, Date.now() % 1_000_000_007);
const seconds = numberOf(values.seconds, 60);
const only = values.case === undefined ? undefined : numberOf(values.case, 0);
console.error(`seed ${seed}`);
try {
  if (values.frames === undefined) await againstServers();
  else againstReaders(numberOf(values.frames, 0));
} catch (error) {
  if (!(error instanceof FuzzFailure || error instanceof FrameFailure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function againstServers(): Promise<void> {
  const report = await fuzz({ seed, seconds, casesMax: Number.POSITIVE_INFINITY, only, progress: (line) => console.error(line) });
  const kinds = Object.entries(report.byKind).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `${report.cases} cases in ${report.seconds.toFixed(1)} s (${kinds.join(", ")}); ${report.plain} were read the plain way`,
  );
}

function againstReaders(frames: number): void {
  const startMs = performance.now();
  const elapsed = (): number => (performance.now() - startMs) / 1_000;
  const progress = (done: number): void => console.error(`${done} frames, ${Math.round(done / elapsed())} a second`);
  const report = fuzzFrames({ seed, frames, from: only ?? 0, progress });
  const events = `${report.accepted} events accepted and ${report.refused} refused, as the schema does`;
  console.log(`${frames} frames in ${elapsed().toFixed(1)} s; ${events}; ${report.plain} frames were read the plain way`);
}
