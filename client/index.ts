/** The public door of the client: `connect`, and the types of what goes in and comes out. */
import { WeirClient, type ConnectOptions } from "./client.ts";

export function connect(options: ConnectOptions): WeirClient {
  return new WeirClient(options);
}

export { WeirClient, type ClientStats, type ConnectOptions } from "./client.ts";
export type { EventVerdict, PublishResult } from "./delivery.ts";
export type { EventContext, EventDefaults, EventInput } from "./event.ts";
export type { RetryOptions } from "./backoff.ts";
export type { PublisherOptions, PublisherStats, PublishReceipt } from "./publisher.ts";
export type {
  AuditLogAnswer,
  CatalogMetric,
  DeadLetter,
  DeadLettersAnswer,
  ExportAnswer,
  Granularity,
  LedgerAnswer,
  QueryAnswer,
  QueryFilter,
  QueryRequest,
  QueryRow,
  QuerySource,
  QueryTimeRange,
  RealtimeAnswer,
  SessionAnswer,
} from "./query.ts";
export type { AuditCheck, AuditFigures, AuditReport } from "../protocol/audit-report.ts";
export type { ReceiptAnswer } from "../protocol/receipt-answer.ts";
export { ServerError } from "./server-error.ts";
export type { WebSocketConstructor, WebSocketLike } from "./socket.ts";
export { Subscription, type ChannelChange, type OnChange } from "./subscription.ts";
export type { ChannelRow } from "../protocol/frames.ts";
export { WeirError } from "../protocol/error-codes.ts";
