/**
 * Bugs that are planted on purpose, to see the simulation find them: each puts something broken in the place of a real part,
 * from outside. `seedsMax`: it must be found within so many seeds (`plants.test.ts`).
 */
import type { Offset } from "../../protocol/ids.ts";
import { WeirError } from "../../protocol/error-codes.ts";
import { Partition } from "../../actors/partition.ts";
import type { Journal, Store, Warehouse } from "../../storage/ports.ts";
import type { HandedFrame } from "../../workers/hand-off.ts";
import { Hosts, type HostsOptions } from "../../workers/hosts.ts";
import { MetricHost } from "../../workers/metric-host.ts";

export interface Plant {
  readonly what: string;
  readonly seedsMax: number;
  wrapJournal?(journal: Journal): Journal;
  wrapStore?(store: Store, path: string): Store;
  wrapWarehouse?(warehouse: Warehouse): Warehouse;
  makeHosts?(options: HostsOptions): Hosts;
  /** Whose store a partition gets at the server's n-th start. */
  storeOfPartition?(partition: number, start: number, partitionCount: number): number;
  /** Changes a class for the length of a run; the answer mends it. */
  install?(): () => void;
}

/** The object itself, but for some of its methods. */
function changed<Port extends object>(port: Port, methods: Partial<Port>): Port {
  return new Proxy(port, {
    get(target, name) {
      const own = (methods as Record<PropertyKey, unknown>)[name];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

function isPartition(path: string): boolean {
  return path.startsWith("partition-");
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Has room for fifteen frames, so to speak. */
class ForgetfulHosts extends Hosts {
  override hand(host: number, frame: HandedFrame): void {
    if (frame.id % 16 !== 15) super.hand(host, frame);
  }
}

export const plants = {
  "ack-before-flush": {
    what: "the journal says that a flush is done when it has only begun",
    seedsMax: 2,
    wrapJournal: (journal) =>
      changed(journal, {
        flush: () => {
          void journal.flush();
          return Promise.resolve(journal.appendedOffset);
        },
      }),
  },
  "snapshot-offset": {
    what: "a snapshot says that it covers a record more than it does",
    seedsMax: 10,
    wrapStore: (store, path) =>
      !isPartition(path)
        ? store
        : changed(store, {
            commit: (writes) =>
              store.commit(
                writes.map((write) => {
                  if (write.table !== "meta" || write.value === undefined) return write;
                  const meta = JSON.parse(decoder.decode(write.value)) as { offset: number };
                  return { ...write, value: encoder.encode(JSON.stringify({ ...meta, offset: meta.offset + 1 })) };
                }),
              ),
          }),
  },
  "double-apply": {
    what: "a snapshot's panes arrive without its offset and its ids, so a replay counts records again",
    seedsMax: 10,
    wrapStore(store, path) {
      let commits = 0;
      if (!isPartition(path)) return store;
      return changed(store, {
        commit: (writes) => {
          const torn = ++commits % 2 === 0;
          return store.commit(torn ? writes.filter(({ table }) => table === "panes") : writes);
        },
      });
    },
  },
  "lost-retry": {
    what: "rows that the warehouse has refused count as written",
    seedsMax: 10,
    wrapWarehouse: (warehouse) =>
      changed(warehouse, {
        write: (table, rows, signal) =>
          warehouse.write(table, rows, signal).catch((error: unknown) => {
            if (!(error instanceof WeirError)) throw error;
          }),
      }),
  },
  "dedup-forgotten": {
    what: "remembered ids do not come back from a snapshot",
    seedsMax: 10,
    wrapStore: (store, path) =>
      !isPartition(path)
        ? store
        : changed(store, { range: (table, ...rest) => (table === "dedup" ? [] : store.range(table, ...rest)) }),
  },
  "delta-before-durable": {
    what: "partials go to stage 2 before the records that they count are on disk",
    seedsMax: 10,
    install() {
      const { settle } = Partition.prototype;
      const { go } = MetricHost.prototype;
      let metricHosts: MetricHost[] = [];
      MetricHost.prototype.go = function (this: MetricHost) {
        metricHosts = [...metricHosts, this];
        go.call(this);
      };
      Partition.prototype.settle = function (this: Partition, tenant: string, offset: Offset) {
        settle.call(this, tenant, offset);
        const partials = this.collect();
        for (const each of metricHosts) each.receive(partials);
        // For the real way too, so that nothing is missing but the order.
        this.recollect();
      };
      return () => {
        Partition.prototype.settle = settle;
        MetricHost.prototype.go = go;
      };
    },
  },
  "mailbox-overflow": {
    what: "a frame that does not fit is dropped without a word",
    seedsMax: 5,
    makeHosts: (options) => new ForgetfulHosts(options),
  },
  "wrong-partition": {
    what: "after a restart a partition has another one's store",
    seedsMax: 10,
    storeOfPartition: (partition, start, partitionCount) => (start === 1 ? partition : (partition + 1) % partitionCount),
  },
} as const satisfies Record<string, Plant>;

export type PlantName = keyof typeof plants;

export function isPlantName(name: string): name is PlantName {
  return Object.hasOwn(plants, name);
}
