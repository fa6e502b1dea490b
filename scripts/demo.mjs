/** `npm run demo`: a server with QuestDB, sample data streaming in, and the numbers moving. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("cli/demo.js", process.argv.slice(2)));
