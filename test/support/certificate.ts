/**
 * A self-signed certificate for `localhost` and 127.0.0.1, made with what Node has: X.509 v3 in DER (RFC 5280), signed with
 * ECDSA over P-256. It is its own authority, so a client that is given it as `ca` trusts it.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

const HOUR_MS = 3_600_000;
const ECDSA_WITH_SHA256 = oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);
const COMMON_NAME = oid(0x55, 0x04, 0x03);
const BASIC_CONSTRAINTS = oid(0x55, 0x1d, 0x13);
const SUBJECT_ALT_NAME = oid(0x55, 0x1d, 0x11);

export function makeCertificate(): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(ECDSA_WITH_SHA256);
  const name = sequence(set(sequence(COMMON_NAME, tag(0x0c, Buffer.from("localhost")))));
  const now = Date.now();
  const validity = sequence(time(now - HOUR_MS), time(now + 24 * HOUR_MS));
  const authority = sequence(BASIC_CONSTRAINTS, tag(0x01, Buffer.of(0xff)), tag(0x04, sequence(tag(0x01, Buffer.of(0xff)))));
  const names = sequence(tag(0x82, Buffer.from("localhost")), tag(0x87, Buffer.of(127, 0, 0, 1)));
  const extensions = tag(0xa3, sequence(authority, sequence(SUBJECT_ALT_NAME, tag(0x04, names))));
  const serial = tag(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)]));
  const subjectKey = publicKey.export({ type: "spki", format: "der" });
  const version = tag(0xa0, tag(0x02, Buffer.of(2)));
  const body = sequence(version, serial, algorithm, name, validity, name, subjectKey, extensions);
  const signature = tag(0x03, Buffer.concat([Buffer.of(0), sign("sha256", body, privateKey)]));
  const base64 = sequence(body, algorithm, signature).toString("base64").replaceAll(/.{64}/g, "$&\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** Writes (again) into the same two files. */
export function writeCertificate(folder: string, pair = makeCertificate()): Certificate {
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  writeFileSync(keyFile, pair.key);
  writeFileSync(certFile, pair.cert);
  return { certFile, keyFile, ...pair };
}

function tag(number: number, content: Buffer): Buffer {
  const { length } = content;
  const long = length < 0x100 ? Buffer.of(0x81, length) : Buffer.of(0x82, length >> 8, length & 0xff);
  return Buffer.concat([Buffer.of(number), length < 0x80 ? Buffer.of(length) : long, content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tag(0x30, Buffer.concat(parts));
}

function set(...parts: readonly Buffer[]): Buffer {
  return tag(0x31, Buffer.concat(parts));
}

function oid(...bytes: readonly number[]): Buffer {
  return tag(0x06, Buffer.from(bytes));
}

/** As GeneralizedTime: `20300131235959Z`. */
function time(timeMs: number): Buffer {
  const digits = new Date(timeMs).toISOString().replaceAll(/[-:T]|\.[0-9]+/g, "");
  return tag(0x18, Buffer.from(digits));
}
