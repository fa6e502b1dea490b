/** Branded types: a number or a string that must not be mistaken for another kind. */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Who an event belongs to: `[a-z0-9-]{1,64}`. Every key, channel, row and statement carries it. */
export type TenantId = Brand<string, "TenantId">;
/** The unit of state, 0 .. partitionCount - 1. */
export type PartitionId = Brand<number, "PartitionId">;
/** The position of a record in one host's journal. The first record has offset 1; 0 means "none yet". */
export type Offset = Brand<number, "Offset">;
/** Milliseconds since 1970-01-01T00:00Z, as the producer stated it. */
export type EventTimeMs = Brand<number, "EventTimeMs">;

const TENANT_PATTERN = /^[a-z0-9][a-z0-9-]{0,63}$/;

export function isTenantId(text: string): text is TenantId {
  return TENANT_PATTERN.test(text);
}

export const NO_OFFSET = 0 as Offset;
