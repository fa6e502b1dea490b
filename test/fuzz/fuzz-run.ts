/**
 * The random part: damaged frames, bodies and connections against two servers at once, one with its partition in the main thread
 * and one that splits frames over two hosts. After every case: the process lives and each answer is a coded one; both servers say
 * the same; the readers agree. Every so often: the neighbour counts exactly and the ledger balances.
 *
 * A case follows from the seed and its number alone; a failure says both, and the bytes.
 */
import assert from "node:assert/strict";
import { decode } from "msgpackr";
import { isErrorCode } from "../../protocol/error-codes.ts";
import { FRAME_FORMATS } from "../../protocol/event-columns.ts";
import { FuzzTarget } from "./fuzz-target.ts";
import { pack } from "./msgpack-bytes.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { encodeWireFrame, OPCODE, RawSocket, type ServerFrame } from "./raw-socket.ts";
import { checkReaders } from "./readers-agree.ts";
import { upgrade } from "./run-case.ts";
import { seedBody, seedFrame } from "./seed-frames.ts";

export interface FuzzOptions {
  readonly seed: number;
  /** Ends at the first of the two. */
  readonly seconds: number;
  readonly casesMax: number;
  /** Only this one. */
  readonly only?: number | undefined;
  readonly progress?: (line: string) => void;
}

export interface FuzzReport {
  readonly cases: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly plain: number;
  readonly seconds: number;
}

const FRAMES_AT_ONCE = 16;
const CHECK_EVERY_CASES = 256;
const WIRE_PATIENCE_MS = 40;

const formats = {
  "application/msgpack": FRAME_FORMATS.msgpack,
  "application/json": FRAME_FORMATS.json,
  "application/x-ndjson": FRAME_FORMATS.ndjson,
};

export class FuzzFailure extends Error {}

interface Servers {
  readonly inline: FuzzTarget;
  readonly split: FuzzTarget;
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const servers = { inline: await FuzzTarget.start(), split: await FuzzTarget.start({ hostThreads: 2 }) };
  try {
    return await new FuzzRun(options, servers).run();
  } finally {
    await servers.inline.close();
    await servers.split.close();
  }
}

class FuzzRun {
  readonly #options: FuzzOptions;
  readonly #servers: Servers;
  readonly #byKind: Record<string, number> = { frames: 0, body: 0, "http wire": 0, "socket wire": 0 };
  #cases = 0;
  #plain = 0;
  #haveParted = false;
  #checkedAt = 0;
  /** Bytes of the case that runs, for the report of a failure. */
  #bytes: Uint8Array = new Uint8Array(0);
  #index = 0;

  constructor(options: FuzzOptions, servers: Servers) {
    this.#options = options;
    this.#servers = servers;
  }

  async run(): Promise<FuzzReport> {
    const { seed, seconds, casesMax, only, progress } = this.#options;
    const startMs = performance.now();
    const elapsed = () => (performance.now() - startMs) / 1000;
    try {
      for (let index = only ?? 0; elapsed() < seconds && this.#cases < casesMax; index += FRAMES_AT_ONCE) {
        await this.#batch(Random.ofCase(seed, index), index);
        if (this.#cases - this.#checkedAt >= CHECK_EVERY_CASES) {
          await this.#checkServers();
          progress?.(`${this.#cases} cases, ${Math.round(this.#cases / elapsed())} a second`);
        }
        if (only !== undefined) break;
      }
      await this.#checkServers();
    } catch (error) {
      const hex = Buffer.from(this.#bytes).toString("hex");
      const text = `seed ${seed}, case ${this.#index} (--seed ${seed} --case ${this.#index}): ${hex}`;
      throw new FuzzFailure(`${text}\n${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return { cases: this.#cases, byKind: this.#byKind, plain: this.#plain, seconds: elapsed() };
  }

  /** Sixteen cases of one kind. They are numbered by the first of them. */
  async #batch(random: Random, index: number): Promise<void> {
    this.#index = index;
    const kind = random.next();
    if (kind < 0.55) await this.#frames(random, index);
    else if (kind < 0.85) await this.#bodies(random, index);
    else if (kind < 0.93) await this.#wires(random, index, "http wire");
    else await this.#wires(random, index, "socket wire");
  }

  #count(kind: string): void {
    this.#cases++;
    this.#byKind[kind] = (this.#byKind[kind] ?? 0) + 1;
  }

  #damaged(random: Random, bytes: Uint8Array, index: number): Uint8Array {
    return random.chance(0.1) ? bytes : mutate(bytes, random, seedFrame(random, index));
  }

  async #frames(random: Random, index: number): Promise<void> {
    const frames = Array.from({ length: FRAMES_AT_ONCE }, (_, at) => {
      const bytes = this.#damaged(random, seedFrame(random, index + at), index + at);
      this.#bytes = bytes;
      if (checkReaders(FRAME_FORMATS.msgpack, bytes, Date.now())) this.#plain++;
      this.#count("frames");
      return bytes;
    });
    this.#bytes = Buffer.concat(frames.flatMap((frame) => [pack(frame.length), frame]));
    // To both: from here on, both know the same ids.
    await Promise.all([sendFrames(this.#servers.inline, frames), sendFrames(this.#servers.split, frames)]);
  }

  async #bodies(random: Random, index: number): Promise<void> {
    for (let at = 0; at < FRAMES_AT_ONCE; at++) {
      const { type, bytes } = seedBody(random, index + at);
      const body = this.#damaged(random, bytes, index + at);
      this.#bytes = body;
      const format = formats[type as keyof typeof formats];
      if (checkReaders(format, body, Date.now())) this.#plain++;
      this.#count("body");
      const [inline, split] = await Promise.all([post(this.#servers.inline, type, body), post(this.#servers.split, type, body)]);
      if (split.code === "WEIR_FRAME_TOO_LARGE" && inline.code !== split.code) this.#haveParted = true;
      else assert.deepEqual(this.#comparable(split), this.#comparable(inline), "both servers say the same");
    }
  }

  /** Shapes that repeat without end are refused only where a frame is split: from then on one knows ids that the other does not. */
  #comparable(said: Said): unknown {
    if (!this.#haveParted) return said;
    return { status: said.status, code: said.code, events: said.results?.length };
  }

  async #wires(random: Random, index: number, kind: "http wire" | "socket wire"): Promise<void> {
    for (let at = 0; at < FRAMES_AT_ONCE; at++) {
      const server = this.#servers.inline;
      const socket = await RawSocket.open(server.port);
      try {
        this.#count(kind);
        if (kind === "http wire") await this.#httpWire(server, socket, random, index + at);
        else await this.#socketWire(server, socket, random, index + at);
      } finally {
        socket.destroy();
      }
    }
  }

  async #httpWire(server: FuzzTarget, socket: RawSocket, random: Random, index: number): Promise<void> {
    const { type, bytes } = seedBody(random, index, "w");
    const head =
      `POST /v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${server.keys.write}\r\n` +
      `Content-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n\r\n`;
    this.#bytes = this.#damaged(random, Buffer.concat([Buffer.from(head), bytes]), index);
    socket.send(this.#bytes);
    const answer = await socket.httpAnswer(WIRE_PATIENCE_MS);
    // None: uWS waits for more. Without a body: uWS itself refused it.
    if (answer === undefined || answer.body === "" || answer.status < 400) return;
    if (answer.headers.has("x-request-id")) checkCode((JSON.parse(answer.body) as { code?: unknown }).code);
  }

  async #socketWire(server: FuzzTarget, socket: RawSocket, random: Random, index: number): Promise<void> {
    const frames = Array.from({ length: 1 + random.below(4) }, () => seedFrame(random, index, "w"));
    const wire = Buffer.concat(frames.map((payload) => encodeWireFrame({ opcode: OPCODE.binary, payload })));
    this.#bytes = this.#damaged(random, wire, index);
    await upgrade(server, socket);
    socket.send(this.#bytes);
    await socket.end(random.below(5));
  }

  async #checkServers(): Promise<void> {
    this.#checkedAt = this.#cases;
    for (const server of [this.#servers.inline, this.#servers.split]) {
      await server.checkNeighbour();
      await server.checkLedger();
      assert.doesNotMatch(server.log, /"level":(50|60)/, server.log);
    }
  }
}

/** Each frame has one answer, and each refusal a code, up to one that ends the connection. */
async function sendFrames(server: FuzzTarget, frames: readonly Uint8Array[]): Promise<void> {
  const socket = await RawSocket.open(server.port);
  try {
    await upgrade(server, socket);
    for (const payload of frames) socket.sendFrame({ opcode: OPCODE.binary, payload });
    let lastCode: unknown;
    for (let answers = 0; answers < frames.length;) {
      const frame = await socket.frame();
      assert.ok(
        frame !== undefined,
        `the connection ended behind ${answers} of ${frames.length} answers, after ${String(lastCode)}`,
      );
      if (frame.opcode === OPCODE.close) {
        assert.ok(isErrorCode(String(lastCode)), `closed without a code: ${Buffer.from(frame.payload).toString("latin1")}`);
        return;
      }
      const message = messageOf(frame);
      if (message["t"] === "error") checkCode((lastCode = message["code"]));
      // Channels speak when they like, and credit comes back when there is some.
      if (message["t"] !== "delta" && message["t"] !== "credit") answers++;
    }
  } finally {
    socket.destroy();
  }
}

function messageOf({ payload }: ServerFrame): Record<string, unknown> {
  return decode(payload) as Record<string, unknown>;
}

function checkCode(code: unknown): void {
  assert.ok(
    typeof code === "string" && isErrorCode(code) && code !== "WEIR_INTERNAL" && code !== "WEIR_HOST_FAILED",
    String(code),
  );
}

interface Said {
  readonly status: number;
  readonly code?: unknown;
  readonly results?: readonly unknown[];
}

async function post(server: FuzzTarget, type: string, body: Uint8Array): Promise<Said> {
  const headers = { Authorization: `Bearer ${server.keys.write}`, "Content-Type": type };
  const response = await fetch(`${server.url}/v1/events`, { method: "POST", headers, body });
  const {
    receipt: _receipt,
    proof: _proof,
    requestId: _requestId,
    ...answer
  } = (await response.json()) as Record<string, unknown>;
  if (response.status >= 400) checkCode(answer["code"]);
  return { status: response.status, ...answer };
}
