/** The bounds that the gateway keeps, out of `protocol/limits.ts`; tests pass smaller ones. */
import type { limits } from "../protocol/limits.ts";

type LimitName =
  | "frameBytesMax"
  | "frameEventsMax"
  | "connectionsMax"
  | "creditFrames"
  | "helloTimeoutMs"
  | "idleTimeoutSeconds"
  | "subscriptionsPerConnectionMax"
  | "subscriberBacklogBytesMax"
  | "errorsPerConnectionMax"
  | "mailboxBytesMax"
  | "concurrentQueriesMax"
  | "wrongKeysMax"
  | "wrongKeyWindowMs"
  | "lockOutMs"
  | "lockOutAddressesMax";

export type GatewayLimits = { readonly [Name in LimitName & keyof typeof limits]: number };
