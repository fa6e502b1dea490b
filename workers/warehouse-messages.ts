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
  /** How far back it sends again after a restart of QuestDB that may have lost rows; 0: not at all. */
  readonly safetyTailMs: number;
}

/** `url` may carry `user:password@`; undefined: nowhere to write to, until another one comes. */
export type ToWarehouse =
  | { readonly type: "target"; readonly url: string | undefined }
  /** QuestDB has been started anew since rows were written to it. `lossy`: rows may be gone, send the safety tail again. */
  | { readonly type: "restarted"; readonly started: string; readonly lossy: boolean }
  /** Write all there is, then answer. */
  | { readonly type: "flush"; readonly id: number }
  | { readonly type: "stop" };

export type FromWarehouse =
  | { readonly type: "status"; readonly status: WriterStatus }
  | { readonly type: "flushed"; readonly id: number; readonly error: string | undefined }
  /** The safety tail is being sent again, from where it stood then. */
  | { readonly type: "rewound"; readonly toMs: number }
  /** Its own store cannot be written: the thread ends, and a new one opens it anew. */
  | { readonly type: "broken"; readonly message: string }
  | { readonly type: "refused"; readonly table: string; readonly message: string }
  | { readonly type: "stopped" };
