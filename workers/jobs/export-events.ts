/**
 * Job: writes a tenant's accepted events of a span to a file, one JSON object a line. The file appears under its name only
 * when it is complete and on disk. Runs in the job pool; holds no state.
 */
import { open, rename, unlink } from "node:fs/promises";
import type { TenantId } from "../../protocol/ids.ts";
import { limits } from "../../protocol/limits.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { QuestDbHttp } from "../../storage/questdb/http.ts";
import { readRawEvents } from "../../storage/questdb/raw-events.ts";

export interface ExportTask {
  readonly url: string;
  readonly tenant: TenantId;
  readonly fromMs: number;
  readonly toMs: number;
  readonly file: string;
}

export interface ExportResult {
  readonly rows: number;
  readonly bytes: number;
}

export default async function exportEvents({ url, tenant, fromMs, toMs, file }: ExportTask): Promise<ExportResult> {
  const { origin, username, password } = new URL(url);
  const http = new QuestDbHttp({ url: origin, ...(username === "" ? {} : { user: username, password }) });
  const draft = `${file}.part`;
  const output = await open(draft, "w", 0o600);
  let rows = 0;
  let bytes = 0;
  try {
    for await (const events of readRawEvents(http, tenant, { fromMs, toMs })) {
      const text = events.map((event) => `${JSON.stringify(event)}\n`).join("");
      rows += events.length;
      if (rows > limits.exportRowsMax) throw new WeirError("WEIR_QUERY_TOO_LARGE", `At most ${limits.exportRowsMax} events.`);
      bytes += (await output.write(text)).bytesWritten;
    }
    await output.sync();
    await output.close();
    await rename(draft, file);
    return { rows, bytes };
  } catch (error) {
    await output.close().catch(() => undefined);
    await unlink(draft).catch(() => undefined);
    throw error;
  } finally {
    await http.close();
  }
}
