/**
 * A server under attack, and what must stay true of it. Two tenants: `strangers`, who may send anything, and `neighbours`, whose
 * one well-behaved client must not notice. `check` asserts that the process lives, that every event of the neighbour counts
 * exactly, and that the strangers' ledger balances; `memory` is measured after a garbage collection.
 */
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connect, type LedgerAnswer, type WeirClient } from "../../client/index.ts";
import type { TenantId } from "../../protocol/ids.ts";
import { DAY_MS } from "../../protocol/windows.ts";
import { openKeyStore } from "../../server/key-store.ts";
import type { FromServer, MemoryBytes, ToServer } from "./server-under-fuzz.ts";

const program = fileURLToPath(new URL("server-under-fuzz.js", import.meta.url));
const PARTITIONS = 4;

export interface FuzzKeys {
  /** Of the strangers: may write only. */
  readonly write: string;
  readonly admin: string;
}

export class FuzzTarget {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #output: string[];
  readonly port: number;
  readonly questdb: string | undefined;
  readonly keys: FuzzKeys;
  /** Of the strangers, for questions. */
  readonly admin: WeirClient;
  readonly neighbour: WeirClient;
  #neighbourEvents = 0;
  #memoryAsked: ((memory: MemoryBytes) => void)[] = [];

  private constructor(
    { child, folder, output }: Started,
    ready: Extract<FromServer, { kind: "ready" }>,
    keys: FuzzKeys & { neighbour: string },
  ) {
    this.#child = child;
    this.#folder = folder;
    this.#output = output;
    this.port = ready.port;
    this.questdb = ready.questdb;
    this.keys = keys;
    this.admin = connect({ url: this.url, key: keys.admin });
    this.neighbour = connect({ url: this.url, key: keys.neighbour });
    child.on("message", (message: FromServer) => {
      if (message.kind === "memory") this.#memoryAsked.shift()?.(message.memory);
    });
  }

  static async start(flags: Readonly<Record<string, unknown>> = {}): Promise<FuzzTarget> {
    const folder = mkdtempSync(join(tmpdir(), "weir-fuzz-"));
    const data = join(folder, "data");
    const settings = { port: 0, questdb: "off", hostThreads: 0, partitions: PARTITIONS, snapshotEveryMs: 1_000, ...flags, data };
    const keys = await makeKeys(data);
    const child = fork(program, [JSON.stringify(settings)], {
      execArgv: ["--expose-gc"],
      cwd: folder,
      env: { PATH: process.env["PATH"] },
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    const output: string[] = [];
    child.stderr?.setEncoding("utf8").on("data", (text: string) => output.push(text));
    const ready = await Promise.race([
      once(child, "message").then(([message]) => message as FromServer),
      once(child, "exit").then(() => undefined),
    ]);
    assert.ok(ready?.kind === "ready", `the server did not start: ${output.join("")}`);
    return new FuzzTarget({ child, folder, output }, ready, keys);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get log(): string {
    return this.#output.join("");
  }

  get data(): string {
    return join(this.#folder, "data");
  }

  get lives(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async memory(): Promise<MemoryBytes> {
    const answer = new Promise<MemoryBytes>((resolve) => this.#memoryAsked.push(resolve));
    this.#tell("memory");
    return answer;
  }

  ledger(): Promise<LedgerAnswer> {
    assert.ok(this.lives, `the server ended: ${this.log}`);
    return this.admin.deadLetters({ limit: 1 }).then(({ ledger }) => ledger);
  }

  /** The neighbour's next events count, exactly. */
  async checkNeighbour(): Promise<void> {
    assert.ok(this.lives, `the server ended: ${this.log}`);
    const events = [0, 1, 2].map((index) => this.#neighbourEvent(this.#neighbourEvents + index));
    const { successfulEvents, results } = await this.neighbour.publish(events);
    assert.deepEqual([successfulEvents, results], [events.length, []]);
    this.#neighbourEvents += events.length;
    const { data } = await this.neighbour.query({
      metrics: ["events.count"],
      timeRange: { from: Date.UTC(2000), to: Date.now() + DAY_MS },
    });
    assert.equal(data[0]?.["events.count"], this.#neighbourEvents, "the neighbour's events count exactly");
  }

  async checkLedger(): Promise<LedgerAnswer> {
    const ledger = await this.ledger();
    const { received, accepted, duplicate, late, invalid } = ledger;
    assert.equal(received, accepted + duplicate + late + invalid, "the strangers' ledger balances");
    return ledger;
  }

  metricsText(): Promise<string> {
    return fetch(`${this.url}/metrics`).then((response) => response.text());
  }

  async close(): Promise<void> {
    await this.admin.close({ timeoutMs: 0 });
    await this.neighbour.close({ timeoutMs: 0 });
    if (this.lives) {
      const exit = once(this.#child, "exit");
      this.#tell("drain");
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #tell(message: ToServer): void {
    this.#child.send(message);
  }

  #neighbourEvent(number: number) {
    return {
      eventId: `n-${number}`,
      sessionId: `visit-${number % 7}`,
      eventType: "click",
      eventCategory: "ui",
      timestamp: Date.now(),
      properties: { value: 1 },
      context: { userAgent: "", ipAddress: "", deviceType: "", platform: "" },
      source: "shop",
      version: "1",
      environment: "test",
    };
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly output: string[];
}

async function makeKeys(data: string): Promise<FuzzKeys & { neighbour: string }> {
  const control = openKeyStore({ data, partitions: PARTITIONS }, Date.now());
  try {
    const create = async (tenant: string, scopes: ("write" | "read" | "admin")[]) =>
      (await control.createKey(tenant as TenantId, scopes, Date.now())).key;
    return {
      write: await create("strangers", ["write"]),
      admin: await create("strangers", ["write", "read", "admin"]),
      neighbour: await create("neighbours", ["write", "read", "admin"]),
    };
  } finally {
    await control.close();
  }
}
