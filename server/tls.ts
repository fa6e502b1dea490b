/**
 * The certificate and key of the settings `tlsCert` and `tlsKey`: whether they can be used, and when they were renewed.
 * A renewed pair is taken only when both files fit each other: whoever renews writes one after the other.
 * `listener.ts` uses it. uWS reads the files itself, and offers TLS 1.2 and 1.3 only.
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { WeirError } from "../protocol/error-codes.ts";

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsPair {
  /** Changes when a file does. */
  readonly version: string;
  readonly expiresMs: number;
}

/** undefined without TLS. */
export function tlsFilesOf(settings: {
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}): TlsFiles | undefined {
  const { tlsCert, tlsKey } = settings;
  return tlsCert === undefined || tlsKey === undefined ? undefined : { certFile: tlsCert, keyFile: tlsKey };
}

/** Throws WEIR_START_TLS_INVALID. The first certificate of the file is the server's; those that follow are its chain. */
export function readTlsPair({ certFile, keyFile }: TlsFiles): TlsPair {
  const certificate = readFile(certFile, "tlsCert");
  const key = readFile(keyFile, "tlsKey");
  const parsed = parse(() => new X509Certificate(certificate), certFile, "tlsCert");
  const privateKey = parse(() => createPrivateKey(key), keyFile, "tlsKey");
  if (!parsed.checkPrivateKey(privateKey)) throw invalid(`${keyFile} is not the key of ${certFile}.`, "tlsKey");
  const version = createHash("sha256").update(certificate).update(key).digest("hex");
  return { version, expiresMs: Date.parse(parsed.validTo) };
}

function readFile(file: string, path: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw invalid(`${file} cannot be read.`, path, cause);
  }
}

function parse<Parsed>(read: () => Parsed, file: string, path: string): Parsed {
  try {
    return read();
  } catch (cause) {
    throw invalid(`${file} is not PEM without a passphrase.`, path, cause);
  }
}

function invalid(detail: string, path: string, cause?: unknown): WeirError {
  return new WeirError("WEIR_START_TLS_INVALID", detail, { path, cause });
}
