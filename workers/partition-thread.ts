/** The entry of a host's worker thread. */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../protocol/assert.ts";
import type { HostOptions } from "./host-options.ts";
import { threadLine } from "./line.ts";
import { runHost } from "./partition-worker.ts";

assert(parentPort !== null, "runs in a worker thread");
await runHost(workerData as HostOptions, threadLine(parentPort));
// Its environments are closed: the thread may end, and a next life of the host open them.
parentPort.close();
