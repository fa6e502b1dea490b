/** `npm run test:crash -- OPTIONS`: kills a real server at many points and counts what was lost. See test/crash/main.ts. */
import { launch } from "./launch.mjs";
import { runScript } from "./prepare.mjs";

await runScript(() => launch("test/crash/main.js", process.argv.slice(2)));
