/**
 * The process in which one part of the state is filled and weighed: started by `memory.ts` with --expose-gc, a new one for each
 * part, so that nothing of another part is in its memory. It weighs heap and external memory after a full collection.
 */
import { once } from "node:events";
import { getHeapSnapshot } from "node:v8";
import { bytesByKind, growthByKind } from "./heap-kinds.ts";
import { parts, type PartName, type WeighedPart } from "./memory-parts.ts";

export interface WeighCommand {
  readonly part: PartName;
  readonly count: number;
  /** Of so many, the growth is broken down by kind of object; 0: not at all. */
  readonly countForKinds: number;
}

export interface Weighed {
  /** Growth for each thing. */
  readonly bytesEach: number;
  /** The same once a snapshot has been taken and what waits for one is gone. */
  readonly bytesEachSettled: number;
  readonly kinds: readonly (readonly [kind: string, bytesEach: number])[];
}

const WARMUP_COUNT = 1_000;

function memoryBytes(): number {
  if (gc === undefined) throw new Error("started without --expose-gc");
  // What one collection frees may let another free more.
  for (let pass = 0; pass < 3; pass++) gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function weigh({ part, count }: WeighCommand): Omit<Weighed, "kinds"> {
  const before = memoryBytes();
  const weighed: WeighedPart = parts[part]();
  weighed.fill(count);
  const bytes = memoryBytes() - before;
  weighed.settle();
  const settledBytes = memoryBytes() - before;
  // Also keeps it alive until here.
  weighed.check(count);
  return { bytesEach: bytes / count, bytesEachSettled: settledBytes / count };
}

/** Code is compiled, and what is made once is made, before anything is weighed. */
function warmUp({ part }: WeighCommand): void {
  const weighed: WeighedPart = parts[part]();
  weighed.fill(WARMUP_COUNT);
  weighed.settle();
  weighed.check(WARMUP_COUNT);
}

async function kindsOf({ part, countForKinds }: WeighCommand): Promise<Weighed["kinds"]> {
  if (countForKinds === 0) return [];
  const weighed: WeighedPart = parts[part]();
  const before = await bytesByKind(getHeapSnapshot());
  weighed.fill(countForKinds);
  weighed.settle();
  const kinds = growthByKind(before, await bytesByKind(getHeapSnapshot()), countForKinds);
  weighed.check(countForKinds);
  return kinds;
}

const [command] = (await once(process, "message")) as [WeighCommand];
warmUp(command);
const weighed: Weighed = { ...weigh(command), kinds: await kindsOf(command) };
process.send?.(weighed);
process.disconnect();
