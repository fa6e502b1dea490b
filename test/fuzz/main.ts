/** `npm run fuzz -- [--seconds N] [--seed N] [--case N]`: the random part for as long as you like, or one case of it again. */
import { parseArgs } from "node:util";
import { fuzz, FuzzFailure } from "./fuzz-run.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string" }, seed: { type: "string" }, case: { type: "string" } },
});

function numberOf(text: string | undefined, byDefault: number): number {
  const value = text === undefined ? byDefault : Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`usage: npm run fuzz -- [--seconds N] [--seed N] [--case N]; \`${text}\` is not a number`);
  process.exit(2);
}

const seed = numberOf(values.seed, Date.now() % 1_000_000_007);
const seconds = numberOf(values.seconds, 60);
const only = values.case === undefined ? undefined : numberOf(values.case, 0);
console.error(`seed ${seed}`);
try {
  const report = await fuzz({ seed, seconds, casesMax: Number.POSITIVE_INFINITY, only, progress: (line) => console.error(line) });
  const kinds = Object.entries(report.byKind).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `${report.cases} cases in ${report.seconds.toFixed(1)} s (${kinds.join(", ")}); ${report.plain} were read the plain way`,
  );
} catch (error) {
  if (!(error instanceof FuzzFailure)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
