/** `npm start -- OPTIONS`: a server; the options are those of `weir serve`. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("cli/weir.js", ["serve", ...process.argv.slice(2)]));
