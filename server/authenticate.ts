/**
 * Who is asking. A key comes in the Authorization header or in a WebSocket's `hello`, never in a URL; it is handed to the
 * control store, which knows keys by their hashes, and is kept nowhere else and logged nowhere.
 */
import { WeirError } from "../protocol/error-codes.ts";
import type { Control, KeyOwner, Scope } from "./services.ts";

/** `weir_<tenant>_<secret>` is far shorter; a longer text is not worth hashing. */
const KEY_LENGTH_MAX = 256;

/** The owner of the key in an Authorization header; undefined when there is no header. */
export function ownerOfHeader(control: Control, header: string): KeyOwner | undefined {
  if (header === "") return undefined;
  const [scheme, key, ...rest] = header.split(" ");
  if (scheme?.toLowerCase() !== "bearer" || key === undefined || rest.length > 0) {
    throw new WeirError("WEIR_AUTH_KEY_UNKNOWN", "The header reads `Authorization: Bearer KEY`.", { path: "authorization" });
  }
  return ownerOfKey(control, key);
}

export function ownerOfKey(control: Control, key: string): KeyOwner {
  const owner = key.length > KEY_LENGTH_MAX ? undefined : control.verifyKey(key);
  if (owner === undefined) throw new WeirError("WEIR_AUTH_KEY_UNKNOWN");
  return owner;
}

/** Names under which other services take keys in a URL. */
const keyParameters: ReadonlySet<string> = new Set([
  "key",
  "api_key",
  "apikey",
  "api-key",
  "access_token",
  "token",
  "authorization",
]);
const keyPattern = /weir_[a-z0-9-]{1,64}_[0-9A-Za-z]{32}/;

/** `query` is the raw query string. Throws WEIR_AUTH_KEY_IN_URL, whether the key is right or not. */
export function refuseKeyInUrl(query: string): void {
  if (query === "") return;
  for (const [name, value] of new URLSearchParams(query)) {
    if (keyParameters.has(name.toLowerCase()) || keyPattern.test(value) || keyPattern.test(name)) {
      throw new WeirError("WEIR_AUTH_KEY_IN_URL");
    }
  }
}

export function requireScope(owner: KeyOwner, scope: Scope): void {
  if (!hasScope(owner, scope)) throw new WeirError("WEIR_AUTH_SCOPE_MISSING", `It takes the scope \`${scope}\`.`);
}

/** `admin` includes the other two. */
export function hasScope(owner: KeyOwner, scope: Scope): boolean {
  return owner.scopes.includes(scope) || owner.scopes.includes("admin");
}
