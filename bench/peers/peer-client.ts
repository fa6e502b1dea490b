/**
 * The load generator for peers: a process of its own. All requests are encoded before the clock runs; after that a request
 * costs a copy, the writing of its ids and a send. Closed loop: every connection keeps `inFlight` requests
 * unacknowledged. Driven by messages of its parent: see `peer-driver.ts`.
 */
import { performance } from "node:perf_hooks";
import { quantileOf } from "../statistics.ts";
import { WorkloadPlan } from "../workload-plan.ts";
import { generateTemplates, type WorkloadParameters } from "../workload.ts";
import type { PeerCommand, PeerReply, PeerRunFigures, PeerTarget } from "./peer-driver.ts";
import type { PeerConnection, PeerLoad } from "./peer.ts";
import { peerNamed } from "./registry.ts";
import { RequestTemplate } from "./request-template.ts";

class PeerClient {
  readonly #load: PeerLoad;
  readonly #templates: readonly RequestTemplate[];
  readonly #connections: readonly PeerConnection[];
  #nextFrame = 0;

  private constructor(target: PeerTarget, workload: WorkloadParameters, connections: readonly PeerConnection[]) {
    const { generator } = peerNamed(target.peer);
    this.#load = target.load;
    const plan = new WorkloadPlan(workload);
    this.#templates = generateTemplates(workload).map(
      (events, template) => new RequestTemplate(events, plan.numbersBack(template), generator),
    );
    this.#connections = connections;
  }

  static async connect(target: PeerTarget, workload: WorkloadParameters): Promise<PeerClient> {
    const { generator } = peerNamed(target.peer);
    const opening = Array.from({ length: target.load.connections }, () => generator.connect(target.address));
    return new PeerClient(target, workload, await Promise.all(opening));
  }

  get frameBytes(): number {
    return this.#templates.reduce((sum, { length }) => sum + length, 0) / this.#templates.length;
  }

  async run(frames: number): Promise<PeerRunFigures> {
    const end = this.#nextFrame + frames;
    const latencies: number[] = [];
    const sendInTurn = async (connection: PeerConnection): Promise<void> => {
      while (this.#nextFrame < end) {
        const request = this.#nextRequest(end);
        const sentMs = performance.now();
        await connection.send(request);
        latencies.push(performance.now() - sentMs);
      }
    };
    const startMs = performance.now();
    const cpuBefore = process.cpuUsage();
    const inFlight = Array.from({ length: this.#load.inFlight });
    await Promise.all(this.#connections.flatMap((connection) => inFlight.map(() => sendInTurn(connection))));
    const cpu = process.cpuUsage(cpuBefore);
    const ascending = latencies.toSorted((left, right) => left - right);
    return {
      frames,
      durationMs: performance.now() - startMs,
      ackP50Ms: quantileOf(ascending, 0.5),
      ackP99Ms: quantileOf(ascending, 0.99),
      clientCpuUs: cpu.user + cpu.system,
    };
  }

  #nextRequest(end: number): Buffer {
    const frames: Buffer[] = [];
    while (frames.length < this.#load.framesPerRequest && this.#nextFrame < end) {
      const template = this.#templates[this.#nextFrame % this.#templates.length];
      if (template === undefined) throw new Error("no templates");
      frames.push(template.stamp(this.#nextFrame++));
    }
    const [only] = frames;
    return frames.length === 1 && only !== undefined ? only : Buffer.concat(frames);
  }
}

let client: PeerClient | undefined;

async function handle(command: PeerCommand): Promise<PeerReply> {
  switch (command.kind) {
    case "prepare":
      client = await PeerClient.connect(command.target, command.workload);
      return { kind: "prepared", frameBytes: client.frameBytes };
    case "run":
      if (client === undefined) throw new Error("not prepared");
      return { kind: "ran", figures: await client.run(command.frames) };
  }
}

const reply = (message: PeerReply): boolean | undefined => process.send?.(message);
process.on("message", (command: PeerCommand) => {
  handle(command).then(reply, (error: unknown) =>
    reply({ kind: "failed", reason: error instanceof Error ? error.message : String(error) }),
  );
});
// The parent's end is the end of this process.
process.on("disconnect", () => process.exit(0));
