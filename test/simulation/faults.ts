/**
 * The faults, each a line in `kinds`: how it strikes, and how often against the others. They strike at random moments, closer
 * together in some seeds than in others, until `stop`, which mends what is broken.
 */
import type { Random } from "./random.ts";
import type { Simulation } from "./simulation.ts";
import type { Process } from "./scheduler.ts";

interface Kind {
  readonly name: string;
  readonly weight: number;
  /** False: there was nothing to strike. */
  strike(simulation: Simulation, random: Random, process: Process): boolean;
}

export const kinds: readonly Kind[] = [
  {
    name: "server crash",
    weight: 5,
    strike(simulation) {
      if (simulation.server === undefined) return false;
      simulation.crash();
      return true;
    },
  },
  {
    name: "server restart",
    weight: 2,
    strike(simulation) {
      if (simulation.server?.isServing !== true) return false;
      simulation.drain();
      return true;
    },
  },
  {
    name: "writer crash",
    weight: 2,
    strike(simulation) {
      if (simulation.server?.isServing !== true) return false;
      simulation.server.crashWriter();
      return true;
    },
  },
  {
    name: "disk stall",
    weight: 2,
    strike({ world: { disk } }, random, process) {
      disk.stallMs = random.duration(100, 5_000);
      process.after(random.duration(100, 20_000), () => (disk.stallMs = 0));
      return true;
    },
  },
  {
    name: "disk failure",
    weight: 2,
    strike({ world: { disk } }) {
      disk.failSoon();
      return true;
    },
  },
  {
    name: "questdb trouble",
    weight: 4,
    strike({ world: { questdb } }, random, process) {
      questdb.mood = random.pick(["refusing", "stalling", "forgetful"]);
      process.after(random.duration(100, 60_000), () => (questdb.mood = "well"));
      return true;
    },
  },
  {
    name: "questdb crash",
    weight: 2,
    strike({ world: { questdb } }, random, process) {
      questdb.crash();
      questdb.mood = "refusing";
      process.after(random.duration(100, 10_000), () => (questdb.mood = "well"));
      return true;
    },
  },
  {
    name: "publisher cut off",
    weight: 4,
    strike(simulation, random) {
      random.pick(simulation.publishers).disconnect();
      return true;
    },
  },
  {
    name: "subscriber cut off",
    weight: 3,
    strike(simulation, random) {
      const subscriber = random.pick(simulation.subscribers);
      if (random.chance(0.3)) subscriber.forget();
      else subscriber.disconnect();
      return true;
    },
  },
  {
    name: "slow subscriber",
    weight: 3,
    strike(simulation, random, process) {
      const subscriber = random.pick(simulation.subscribers);
      subscriber.readSlowly(random.duration(50, 3_000));
      process.after(random.duration(1_000, 20_000), () => subscriber.readSlowly(0));
      return true;
    },
  },
  {
    name: "clock step",
    weight: 1,
    strike({ world }, random) {
      world.clockStepMs = random.integer(-20_000, 20_000);
      return true;
    },
  },
];

export class Faults {
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #process: Process;
  readonly #meanMs: number;

  constructor(simulation: Simulation, random: Random) {
    this.#simulation = simulation;
    this.#random = random;
    this.#process = simulation.scheduler.process("faults");
    this.#meanMs = random.pick([500, 1_500, 5_000]);
    this.#strikeSoon();
  }

  stop(): void {
    this.#process.kill();
    const { disk, questdb } = this.#simulation.world;
    disk.heal();
    questdb.mood = "well";
    for (const subscriber of this.#simulation.subscribers) subscriber.readSlowly(0);
    this.#simulation.trace("the faults stop");
  }

  #strikeSoon(): void {
    this.#process.after(this.#random.duration(this.#meanMs / 10, this.#meanMs * 3), () => {
      const kind = this.#choose();
      this.#simulation.trace(`fault: ${kind.name}`);
      if (kind.strike(this.#simulation, this.#random, this.#process)) this.#simulation.count(kind.name);
      this.#strikeSoon();
    });
  }

  #choose(): Kind {
    let left = this.#random.next() * kinds.reduce((sum, { weight }) => sum + weight, 0);
    for (const kind of kinds) if ((left -= kind.weight) < 0) return kind;
    return kinds[0] as Kind;
  }
}
