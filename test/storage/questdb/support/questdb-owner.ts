/** A process that owns a QuestDB until it is killed. Says the pid of java once it answers. */
import { QuestDbServer } from "../../../../storage/questdb/server.ts";
import { serverOptions } from "./managed-questdb.ts";

const [, , root = ""] = process.argv;
const server = new QuestDbServer(await serverOptions(root));
await server.start();
process.stdout.write(`${server.pid}\n`);
