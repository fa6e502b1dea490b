/** Processes that stand still: they keep their sockets and files, and answer nobody. */
import { readFileSync } from "node:fs";
import { WebSocket } from "ws";
import { decodeServerFrame, encodePublish } from "../../protocol/frames.ts";
import { eventually } from "../support/real-server.ts";
import { streaming, type StreamingFault } from "./streaming.ts";
import { PATIENCE_MS, TENANT, type World } from "./world.ts";

const TWICE = 50;

/** What a service does that waits no longer: the same events over another connection, while the first frame is on its way. */
class ImpatientService {
  readonly #world: World;
  readonly #sockets: WebSocket[] = [];
  readonly #answers: Promise<number>[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  async open(): Promise<void> {
    const { server } = this.#world;
    const key = await server.newKey(TENANT);
    for (let count = 0; count < 2; count++) {
      const socket = new WebSocket(`${server.url.replace("http", "ws")}/v1/stream`, {
        headers: { authorization: `Bearer ${key}` },
      });
      await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
      this.#sockets.push(socket);
    }
  }

  sendTwice(): void {
    const { books } = this.#world;
    const numbers = books.take(TWICE);
    const frame = encodePublish(
      1,
      numbers.map((n) => books.event(n)),
    );
    for (const socket of this.#sockets) {
      const answer = new Promise<number>((resolve, reject) => {
        socket.on("message", (data: Buffer) => {
          const message = decodeServerFrame(data);
          if (message.t === "error") reject(new Error(message.code));
          if (message.t !== "ack") return;
          books.ack(numbers);
          resolve(message.results?.filter(({ duplicate }) => duplicate === true).length ?? 0);
        });
        socket.once("close", () => reject(new Error("closed before the ack")));
      });
      answer.catch(() => undefined);
      this.#answers.push(answer);
      socket.send(frame);
    }
  }

  /** Both were acknowledged, one as a duplicate. */
  async expectOnce(): Promise<void> {
    const duplicates = (await Promise.all(this.#answers)).reduce((sum, count) => sum + count, 0);
    if (duplicates !== TWICE) this.#world.problems.push(`${duplicates} duplicates of ${TWICE} events that were sent twice`);
    this.close();
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }
}

let impatient: ImpatientService | undefined;

const cases: readonly StreamingFault[] = [
  {
    name: "server-stopped",
    fault: "the server stands still (SIGSTOP), a service sends the same events over two connections",
    expected: "nobody is answered; after SIGCONT all is acknowledged, the second frame as duplicates",
    inject: async (world) => {
      impatient = new ImpatientService(world);
      await impatient.open();
      process.kill(world.server.pid, "SIGSTOP");
      await eventually(() => stateOf(world.server.pid) === "T", "the server is stopped", PATIENCE_MS);
      impatient.sendTwice();
    },
    react: async (_world, observer) => {
      await eventually(() => observer.statuses.has("no answer"), "the server does not answer", PATIENCE_MS);
      return "no answer while it stood still";
    },
    heal: async (world) => {
      process.kill(world.server.pid, "SIGCONT");
      await impatient?.expectOnce();
    },
    after: async () => impatient?.close(),
  },
  {
    name: "questdb-stopped",
    fault: "a managed QuestDB stands still (SIGSTOP)",
    expected: "the warehouse is `pending`, events are taken; QuestDB is ended and started again",
    questdb: "managed",
    inject: async (world) => {
      await world.warehouseIs("ready");
      const pid = world.questdbPid;
      if (pid === undefined) throw new Error("there is no QuestDB");
      process.kill(pid, "SIGSTOP");
      await eventually(() => stateOf(pid) === "T", "QuestDB is stopped", PATIENCE_MS);
      stoppedPid = pid;
    },
    react: async (world) => {
      await world.warehouseIs("pending");
      await world.progress(100);
      return "warehouse `pending`, events taken";
    },
    heal: async (world) => {
      const isNew = (): boolean => world.questdbPid !== undefined && world.questdbPid !== stoppedPid;
      await eventually(isNew, "another QuestDB was started", PATIENCE_MS);
      await world.warehouseIs("ready");
    },
  },
];

let stoppedPid: number | undefined;

/** As in `ps`: T is stopped. */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
}

export const stopped = cases.map(streaming);
