/**
 * API keys as text: `weir_<tenant>_<secret>`. Stored is only the SHA-256 of the whole key; a key has so much entropy that a
 * slow hash would add nothing. The key id is the first 16 hex digits of that hash: good for look-up and for showing.
 */
import { createHash, randomInt, timingSafeEqual } from "node:crypto";
import type { TenantId } from "../protocol/ids.ts";

export const scopes = ["write", "read", "admin"] as const;
export type Scope = (typeof scopes)[number];

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** log2(62 ** 32) = 190.5 bits. */
const SECRET_CHARACTERS = 32;
const KEY_ID_CHARACTERS = 16;
/** No tenant is longer than 64 characters. */
const KEY_CHARACTERS_MAX = 5 + 64 + 1 + SECRET_CHARACTERS;

/** A key anywhere in a text. */
export const keyPattern = new RegExp(`weir_[a-z0-9-]{1,64}_[${BASE62}]{${SECRET_CHARACTERS}}`, "g");

export interface KeyHash {
  readonly keyId: string;
  readonly hashHex: string;
}

export function generateKey(tenant: TenantId): KeyHash & { readonly key: string } {
  let secret = "";
  for (let index = 0; index < SECRET_CHARACTERS; index++) secret += BASE62[randomInt(BASE62.length)];
  const key = `weir_${tenant}_${secret}`;
  return { key, ...hashOf(key) };
}

/** Undefined for a text too long to be a key, so that hashing it cannot be made expensive. */
export function hashKey(key: string): KeyHash | undefined {
  return key.length > KEY_CHARACTERS_MAX ? undefined : hashOf(key);
}

function hashOf(key: string): KeyHash {
  const hashHex = createHash("sha256").update(key).digest("hex");
  return { keyId: hashHex.slice(0, KEY_ID_CHARACTERS), hashHex };
}

/** Takes the same time wherever two hashes differ. */
export function sameHash(leftHex: string, rightHex: string): boolean {
  const left = Buffer.from(leftHex, "hex");
  const right = Buffer.from(rightHex, "hex");
  return left.length === right.length && timingSafeEqual(left, right);
}
