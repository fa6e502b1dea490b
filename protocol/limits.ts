/**
 * Every bound in one place. At a bound we refuse with a code from `error-codes.ts` and count it;
 * nothing grows without one. Bytes are bytes, counts are counts, times are milliseconds.
 */
const KIB = 1024;
const MIB = 1024 * KIB;
const MINUTE_MS = 60_000;

export const limits = {
  // One event
  identifierBytesMax: 256,
  propertiesBytesMax: 32 * KIB,
  propertiesDepthMax: 8,
  propertiesKeysMax: 256,
  timestampAheadMsMax: 5 * MINUTE_MS,
  timestampMsMin: Date.UTC(2000, 0, 1),

  // One frame or request
  frameBytesMax: 4 * MIB,
  frameEventsMax: 10_000,
  requestBodyBytesMax: 16 * MIB,
  // The largest body, whose share for one host may be four times as long (`msgpack-slices.ts`), with its verdicts.
  journalRecordBytesMax: 65 * MIB,
  queryBodyBytesMax: 64 * KIB,

  // One connection
  connectionsMax: 20_000,
  creditFrames: 64,
  /** What a new connection may send before its first ack; it grows to the above as acks come. */
  creditFramesAtStart: 8,
  helloTimeoutMs: 10_000,
  idleTimeoutSeconds: 120,
  subscriptionsPerConnectionMax: 256,
  subscriberBacklogBytesMax: 4 * MIB,
  errorsPerConnectionMax: 1_000,

  // Keys
  keysPerTenantMax: 1_000,
  auditEntriesMax: 10_000,
  /** So many different wrong keys of one address within the window lock it out. */
  wrongKeysMax: 20,
  wrongKeyWindowMs: MINUTE_MS,
  lockOutMs: MINUTE_MS,
  lockOutAddressesMax: 10_000,

  // One host
  mailboxBytesMax: 256 * MIB,
  turnFramesMax: 512,
  turnBytesMax: 16 * MIB,
  /** A turn is full with so many frames if they have so many bytes together; else it takes more (`turn-size.ts`). */
  turnFramesFull: 64,
  turnBytesFull: 256 * KIB,
  /** The same for a replay, where nobody waits for a turn: the bytes are for each partition that takes part, and at most. */
  replayTurnFramesMax: 256,
  replayTurnBytesPerPartition: 256 * KIB,
  replayTurnBytesMax: 16 * MIB,
  /** While others wait. */
  turnBytesPerTenantMax: 256 * KIB,
  /** How long a turn takes, by what its tenants' bytes cost before, and how much of it is one tenant's while others wait. */
  turnMsMax: 25,
  turnMsPerTenantMax: 5,
  /** What a tenant that owes nothing gets of a turn at least, so that turns of single frames do not cost more than these. */
  turnBytesPerTenantMin: 64 * KIB,
  /** So many turns wait for their commit; more while they are short, up to so many frames and bytes. */
  uncommittedTurnsMax: 4,
  uncommittedFramesFull: 256,
  uncommittedBytesFull: 4 * MIB,
  /** So many frames begin a turn though a commit is running, and leave for the hosts though others left a moment ago. */
  turnFramesWorthwhile: 48,
  /** The same for frames that together have so many bytes. */
  turnLargeFramesWorthwhile: 16,
  turnBytesWorthwhile: 32 * KIB,
  pendingDeadLetterBytesMax: 32 * MIB,
  poisonFramesMax: 64,
  skippedRecordsMax: 16,

  // A tenant whose state is at its bound (`server/state-budget.ts`): so much is taken all the same, for time to pass
  fullTenantFrameEveryMs: 1_000,
  fullTenantBytesPerSecond: 16 * KIB,

  // Metrics
  metricsPerTenantMax: 256,
  dimensionsPerMetricMax: 4,
  dimensionValueBytesMax: 256,
  filterTermsMax: 16,
  seriesPerMetricDefault: 10_000,
  seriesPerMetricMax: 1_000_000,
  topKCounters: 1_024,
  channelsPerTenantMax: 10_000,
  channelHistoryFrames: 256,

  // Queries
  queryMetricsMax: 32,
  queryRowsMax: 10_000,
  queryPanesMax: 1_000_000,
  queryTimeoutMs: 30_000,
  concurrentQueriesMax: 64,
  realtimeNamesMax: 64,
  exportRowsMax: 10_000_000,

  // Sessions
  sessionSegmentsMax: 1_000,
  sessionTypesMax: 256,

  // Warehouse
  warehouseRowsPerRequestMax: 10_000,
  warehouseBytesPerRequestMax: 16 * MIB,
  warehouseFlushMsMax: 30_000,
} as const;
