/** The worker thread of `threads.test.ts`: answers each durable offset with what it can read. */
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { openJournalReader } from "../../storage/lmdb/journal.ts";
import { expectedRecord } from "./expected-record.ts";

const port = parentPort;
assert.ok(port !== null && typeof workerData === "string");
const reader = openJournalReader(workerData);
port.on("message", (message: unknown) => {
  if (message === "close") {
    void reader.close().then(() => port.close());
    return;
  }
  const { first, last } = reader.ends();
  let intact = true;
  for (const { offset, record } of reader.read(first)) intact &&= Buffer.compare(record, expectedRecord(offset)) === 0;
  port.postMessage({ last, intact });
});
port.postMessage(reader.ends());
