/** TLS by settings: the client with its own authority, old versions, renewal without a restart, pairs that are of no use. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect as connectTls, type ConnectionOptions } from "node:tls";
import { decode, encode } from "msgpackr";
import { WebSocket } from "ws";
import { connect } from "../../client/index.ts";
import { platformTrusting } from "../../client/trust.ts";
import { readTlsPair } from "../../server/tls.ts";
import { temporaryFolder } from "../storage/temporary-folder.ts";
import { makeCertificate, writeCertificate, type Certificate } from "../support/certificate.ts";
import { freePort } from "../support/server-process.ts";
import { keys, startGateway, tenant, until, type Fixture } from "./gateway-fixture.ts";

interface Secure extends Fixture {
  readonly folder: string;
  readonly certificate: Certificate;
}

async function startSecure(t: TestContext): Promise<Secure> {
  const folder = temporaryFolder(t);
  const certificate = writeCertificate(folder);
  const { certFile, keyFile } = certificate;
  // A port of its own, not any free one: only such a port can be listened on anew.
  const config = { tlsCert: certFile, tlsKey: keyFile };
  const fixture = await startGateway(t, { config, port: await freePort(), tlsCheckEveryMs: 20 });
  return { ...fixture, folder, certificate };
}

/** What the server shows and agrees to, or the error's code. */
async function handshake(
  port: number,
  options: ConnectionOptions = {},
): Promise<{ protocol: string | null; serial: string } | string> {
  const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  try {
    await once(socket, "secureConnect");
    return { protocol: socket.getProtocol(), serial: socket.getPeerCertificate().serialNumber };
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : "none";
  } finally {
    socket.destroy();
  }
}

test("the client that is given the authority publishes and asks; without it, it says why not", async (t) => {
  const { port, certificate, publisher } = await startSecure(t);
  const url = `https://127.0.0.1:${port}`;
  const client = connect({ url, key: keys.admin, ca: certificate.cert, complete: false });
  t.after(() => client.close({ timeoutMs: 0 }));
  assert.ok((await client.catalog()).length > 0);
  await client.publish([{ eventId: "a", eventType: "view", sessionId: "s" }]);
  assert.equal(publisher.requests.length, 1);
  await new Promise((resolve) => void client.subscribe("events@1h", {}, resolve));

  const distrustful = connect({ url, key: keys.admin });
  t.after(() => distrustful.close({ timeoutMs: 0 }));
  await assert.rejects(distrustful.catalog(), { code: "WEIR_CLIENT_UNREACHABLE", message: /SELF_SIGNED_CERT/ });
});

test("every answer asks browsers for TLS in future; the plain protocol is not spoken", async (t) => {
  const { port, certificate } = await startSecure(t);
  const trusting = await platformTrusting([certificate.cert]);
  const answer = await trusting.fetch(`https://localhost:${port}/healthz`);
  assert.match(answer.headers.get("strict-transport-security") ?? "", /^max-age=[1-9]/);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`));
  const metrics = await (await trusting.fetch(`https://127.0.0.1:${port}/metrics`)).text();
  const [, seconds] = /weir_tls_certificate_expiry_timestamp_seconds ([0-9.e+]+)/.exec(metrics) ?? [];
  assert.ok(Number(seconds) * 1_000 > Date.now(), metrics);
});

test("TLS 1.2 and 1.3, nothing older", async (t) => {
  const { port } = await startSecure(t);
  const protocolOf = async (version: "TLSv1.1" | "TLSv1.2" | "TLSv1.3") => {
    const done = await handshake(port, { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0" });
    return typeof done === "string" ? undefined : done.protocol;
  };
  assert.deepEqual(
    [await protocolOf("TLSv1.1"), await protocolOf("TLSv1.2"), await protocolOf("TLSv1.3")],
    [undefined, "TLSv1.2", "TLSv1.3"],
  );
});

test("a renewed certificate is taken without a restart; open sockets stay and hear what all hear", async (t) => {
  const { port, folder, certificate, channels, logLines } = await startSecure(t);
  const open = async (ca: string) => {
    const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/stream`, { ca, headers: { Authorization: `Bearer ${keys.read}` } });
    t.after(() => socket.terminate());
    await once(socket, "open");
    const snapshot = once(socket, "message");
    socket.send(encode({ t: "sub", id: 1, channel: "events@1h" }));
    await snapshot;
    return socket;
  };
  const early = await open(certificate.cert);
  const before = await handshake(port);

  const renewed = makeCertificate();
  writeFileSync(certificate.keyFile, renewed.key);
  await until(() => logLines.some((line) => line.includes("cannot be used yet")));
  assert.deepEqual(await handshake(port), before, "half of a renewal changes nothing");

  writeCertificate(folder, renewed);
  await until(() => logLines.some((line) => line.includes("renewed certificate in use")));
  assert.notDeepEqual(await handshake(port), before);
  const late = await open(renewed.cert);
  const heard = [early, late].map((socket) => {
    const frames: string[] = [];
    socket.on("message", (data: Buffer) => frames.push((decode(data) as { t: string }).t));
    return frames;
  });
  channels.delta({ tenant, metric: "events", window: "1h", everyMs: 100 });
  // An answer on each socket: whatever was published before has arrived.
  await until(() => heard.every((frames) => frames.includes("delta")));
  for (const socket of [early, late]) socket.send(encode({ t: "ping" }));
  await until(() => heard.every((frames) => frames.includes("pong")));
  assert.deepEqual(heard, [
    ["delta", "pong"],
    ["delta", "pong"],
  ]);
});

test("a pair that is of no use does not start", async (t) => {
  const folder = temporaryFolder(t);
  const good = writeCertificate(folder);
  const other = makeCertificate();
  const files = {
    good: good.certFile,
    missing: join(folder, "none.pem"),
    key: join(folder, "other.pem"),
    text: join(folder, "text.pem"),
  };
  writeFileSync(files.key, other.key);
  writeFileSync(files.text, "hello");
  mkdirSync(join(folder, "folder"));
  const pairs: readonly (readonly [certFile: string, keyFile: string, path: string])[] = [
    [files.missing, good.keyFile, "tlsCert"],
    [files.good, files.missing, "tlsKey"],
    [files.good, files.key, "tlsKey"],
    [files.text, good.keyFile, "tlsCert"],
    [files.good, files.text, "tlsKey"],
    [join(folder, "folder"), good.keyFile, "tlsCert"],
  ];
  for (const [certFile, keyFile, path] of pairs) {
    assert.throws(() => readTlsPair({ certFile, keyFile }), { code: "WEIR_START_TLS_INVALID", path });
  }
  const config = { tlsCert: files.good, tlsKey: files.key };
  await assert.rejects(startGateway(t, { config }), { code: "WEIR_START_TLS_INVALID" });
});
