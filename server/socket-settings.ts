/**
 * How uWS treats every WebSocket of ours: what it bounds and drops by itself, before the gateway sees a frame. The gateway uses
 * it, and so does the echo server of the conformance test, so that what is tested there is what runs.
 */
import uWS from "uWebSockets.js";
import type { GatewayLimits } from "./gateway-limits.ts";

/**
 * uWS drops a socket without a close code when a frame passes its limit. Ours is lower by this, so that a frame which is
 * somewhat too large gets the coded error and the close code 1009 that clients can act on.
 */
const OVERSIZE_BYTES = 1024 * 1024;

export function socketSettings(
  limits: Pick<GatewayLimits, "frameBytesMax" | "idleTimeoutSeconds" | "subscriberBacklogBytesMax">,
) {
  return {
    maxPayloadLength: limits.frameBytesMax + OVERSIZE_BYTES,
    idleTimeout: limits.idleTimeoutSeconds,
    maxBackpressure: limits.subscriberBacklogBytesMax,
    compression: uWS.DISABLED,
  } as const;
}
