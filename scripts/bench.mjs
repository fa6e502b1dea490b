/** `npm run bench -- NAME OPTIONS`: one bench; without a name, the list of them. See bench/README.md. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("bench/main.js", process.argv.slice(2)));
