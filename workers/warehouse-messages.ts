/** What the main thread and the warehouse writer's thread say to each other. */
import type { WriterStatus } from "./warehouse-writer.ts";

export interface WarehouseThreadOptions {
  readonly journalPaths: readonly string[];
  readonly partitionPaths: readonly { readonly id: number; readonly path: string }[];
  readonly metricsPath: string;
  readonly controlPath: string;
  readonly hosts: number;
  readonly partitionCount: number;
  readonly sessionGapMs: number;
  readonly flushRows: number;
  readonly flushMs: number;
  /** 0: for ever. */
  readonly eventsTtlDays: number;
}

/** `url` may carry `user:password@`; undefined: nowhere to write to for now. */
export type ToWarehouse =
  | { readonly type: "target"; readonly url: string | undefined }
  /** Write all there is, then answer. */
  | { readonly type: "flush"; readonly id: number }
  | { readonly type: "stop" };

export type FromWarehouse =
  | { readonly type: "status"; readonly status: WriterStatus }
  | { readonly type: "flushed"; readonly id: number; readonly error: string | undefined }
  | { readonly type: "refused"; readonly table: string; readonly message: string }
  | { readonly type: "stopped" };
