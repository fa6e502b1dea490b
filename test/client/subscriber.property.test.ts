/**
 * Law: at every moment the rows of a subscription equal the channel at the subscription's (epoch, seq), whatever is lost,
 * and once the network is quiet and one more delta came through, they equal the channel as it is now.
 * The network and the server are simulated without sockets, so that every interleaving can be had.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Unpackr } from "msgpackr";
import { Subscriber, type SubscriberLink } from "../../client/subscriber.ts";
import type { Subscription } from "../../client/subscription.ts";
import type { ServerFrame } from "../../protocol/frames.ts";
import type { ConnectionListener } from "../../client/connection.ts";

type Rows = Record<string, number>;

const HISTORY = 3;
const channel = "clicks@1h";
const window = { from: 0, to: 3_600_000 };
const unpackr = new Unpackr({ mapsAsObjects: true });

/** The server's channel: its rows at every (epoch, seq), the last few deltas, and the frames on their way to the client. */
class Network implements SubscriberLink {
  readonly failure = undefined;
  #listener: ConnectionListener | undefined;
  #connected = false;
  #epoch = 1;
  #seq = 0;
  #rows: Rows = {};
  readonly #past = new Map<string, Rows>([["1/0", {}]]);
  #history: ServerFrame[] = [];
  #toServer: Record<string, unknown>[] = [];
  #toClient: ServerFrame[] = [];
  #subscribed = false;

  start(): void {
    this.#connected = true;
  }

  listen(listener: ConnectionListener): void {
    this.#listener = listener;
  }

  send(bytes: Uint8Array): boolean {
    if (!this.#connected) return false;
    this.#toServer.push(unpackr.unpack(bytes) as Record<string, unknown>);
    return true;
  }

  rowsAt(epoch: string, seq: number): Rows | undefined {
    return this.#past.get(`${epoch}/${seq}`);
  }

  get rows(): Rows {
    return this.#rows;
  }

  /** The server answers the oldest thing that the client sent. */
  serve(): void {
    const message = this.#toServer.shift();
    if (message?.["t"] !== "sub") return;
    this.#subscribed = true;
    const since = message["since"] as { epoch: string; seq: number } | undefined;
    const missed = this.#history.filter((frame) => since !== undefined && "seq" in frame && Number(frame.seq) > since.seq);
    const place = { id: Number(message["id"]), channel, epoch: String(this.#epoch), seq: this.#seq };
    const recent = since?.epoch === String(this.#epoch) && since.seq + missed.length === this.#seq;
    if (recent) this.#toClient.push({ t: "resumed", ...place }, ...missed);
    else this.#toClient.push({ t: "snap", ...place, window, cause: "snapshot", values: rowList(this.#rows) });
  }

  change(name: string, value: number | undefined): void {
    const row = value === undefined ? { name, removed: true } : { name, count: value };
    this.#rows = { ...this.#rows };
    if (value === undefined) delete this.#rows[name];
    else this.#rows[name] = value;
    this.#seq++;
    this.#past.set(`${this.#epoch}/${this.#seq}`, this.#rows);
    const place = { channel, every: 100 as const, epoch: String(this.#epoch), seq: this.#seq };
    const delta: ServerFrame = { t: "delta", ...place, window, cause: "live", values: [row] };
    this.#history = [...this.#history, delta].slice(-HISTORY);
    if (this.#subscribed && this.#connected) this.#toClient.push(delta);
  }

  deliver(): void {
    const frame = this.#toClient.shift();
    if (frame !== undefined) this.#listener?.frame(frame);
  }

  /** A slow reader's deltas are dropped; answers are not. */
  dropDelta(): void {
    const at = this.#toClient.findIndex((frame) => frame.t === "delta");
    if (at >= 0) this.#toClient.splice(at, 1);
  }

  disconnect(): void {
    this.#connected = false;
    this.#subscribed = false;
    this.#toClient = [];
    this.#toServer = [];
    this.#listener?.lost(1006);
  }

  reconnect(): void {
    if (this.#connected) return;
    this.#connected = true;
    const limits = { frameBytesMax: 1, frameEventsMax: 1 };
    const hello = { t: "hello", protocol: 1, server: "", tenant: "", scopes: [], credit: 1, serverTimeMs: 0, limits } as const;
    this.#listener?.ready(hello);
  }

  /** The server restarts with what it had, under a new epoch. */
  restart(): void {
    this.disconnect();
    this.newEpoch();
  }

  /** A partition host restarts behind a gateway that keeps its sockets. */
  newEpoch(): void {
    this.#epoch++;
    this.#seq = 0;
    this.#history = [];
    this.#past.set(`${this.#epoch}/0`, this.#rows);
  }

  settle(): void {
    this.reconnect();
    while (this.#toServer.length + this.#toClient.length > 0) {
      this.serve();
      this.deliver();
    }
  }
}

function rowList(rows: Rows): { name: string; count: number }[] {
  return Object.entries(rows).map(([name, count]) => ({ name, count }));
}

function rowsOf(subscription: Subscription): Rows {
  return Object.fromEntries(Array.from(subscription.rows.values(), (row) => [String(row["name"]), Number(row["count"])]));
}

const names = fc.constantFrom("a", "b", "c");
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("change" as const), name: names, value: fc.integer({ min: 0, max: 99 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), name: names }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("serve" as const) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("dropDelta", "disconnect", "reconnect", "restart", "newEpoch") }) },
);

test("a subscription's rows are the channel's, over any loss", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const network = new Network();
      const subscriber = new Subscriber(network);
      const seen: Rows[] = [];
      const subscription = subscriber.subscribe("clicks@1h", {}, (_, self) => seen.push(rowsOf(self)));
      const check = () => {
        const { epoch, seq } = subscription;
        if (epoch === undefined || seq === undefined) return;
        assert.deepEqual(rowsOf(subscription), network.rowsAt(epoch, seq));
      };
      for (const each of steps) {
        if (each.do === "change") network.change(each.name, each.value);
        else if (each.do === "remove") network.change(each.name, undefined);
        else network[each.do]();
        check();
      }
      network.settle();
      // A delta that was dropped at the end shows itself with the next one.
      network.change("a", 100);
      network.settle();
      check();
      assert.deepEqual(rowsOf(subscription), network.rows);
      assert.deepEqual(seen.at(-1), network.rows);
    }),
    { numRuns: 500 },
  );
});
