/** `npm run sim -- OPTIONS`: the seeded simulation of the server under faults. See docs/simulation.md. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("test/simulation/main.js", process.argv.slice(2)));
