/**
 * Whether a request may become a WebSocket. uWS upgrades whatever has a key of 24 characters, so the rest of RFC 6455, section
 * 4.2.1, is checked here, and which pages may open one: browsers send every page's sockets to whoever it names, and say in
 * `Origin` whose page it is. The gateway calls it for every upgrade.
 */
import type { HttpRequest } from "uWebSockets.js";
import { WeirError } from "../protocol/error-codes.ts";
import { hasAmbiguousLength } from "./request-body.ts";

/** 16 bytes in base64: the last character but the padding stands for two bits. */
const keyPattern = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const ANY_ORIGIN = "*";

/** Throws a WeirError with the header that is wrong as its path. */
export function checkUpgrade(request: HttpRequest, allowedOrigins: readonly string[]): void {
  if (request.getHeader("upgrade").toLowerCase() !== "websocket") throw invalid("upgrade", "It must be `websocket`.");
  const options = request.getHeader("connection").toLowerCase().split(",");
  if (!options.some((option) => option.trim() === "upgrade")) throw invalid("connection", "It must name `Upgrade`.");
  if (request.getHeader("sec-websocket-version") !== "13") {
    throw invalid("sec-websocket-version", "The version of WebSocket is 13.");
  }
  if (!keyPattern.test(request.getHeader("sec-websocket-key"))) {
    throw invalid("sec-websocket-key", "It must be 16 bytes in base64.");
  }
  // What stands behind the head would be read as frames here, and as a body by a proxy.
  const length = request.getHeader("content-length");
  if (hasAmbiguousLength(request) || (length !== "" && Number(length) !== 0) || request.getHeader("transfer-encoding") !== "") {
    throw invalid("content-length", "An upgrade has no body.");
  }
  checkOrigin(request.getHeader("origin"), request.getHeader("host"), allowedOrigins);
}

/** Services send no origin. A page of our own address is let in; TLS ends before us, so its scheme may be another one. */
function checkOrigin(origin: string, host: string, allowed: readonly string[]): void {
  if (origin === "" || allowed.includes(ANY_ORIGIN) || allowed.includes(origin.toLowerCase())) return;
  const at = origin.indexOf("://");
  if (at > 0 && host !== "" && origin.slice(at + 3).toLowerCase() === host.toLowerCase()) return;
  throw new WeirError("WEIR_ORIGIN_REFUSED", "The setting `allowedOrigins` names others.", { path: "origin" });
}

function invalid(path: string, detail: string): WeirError {
  return new WeirError("WEIR_FRAME_FIELD_INVALID", detail, { path });
}
