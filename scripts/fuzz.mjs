/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--case N]`: damaged frames, bodies and connections against real servers;
 * with `--frames N`: forged frames against the readers and the event schema alone.
 */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("test/fuzz/main.js", process.argv.slice(2)));
