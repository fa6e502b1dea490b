/** `npm run test:faults -- OPTIONS`: puts faults upon a real server and says how it took them. See test/faults/main.ts. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("test/faults/main.js", process.argv.slice(2)));
