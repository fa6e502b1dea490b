/** The parent's side of `scale-process.ts`: one point of `scale`, measured on the actors alone in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Figures } from "../harness.ts";
import type { ProfileName } from "../frame-profiles.ts";
import type { ScaleFrames, ScalePoint } from "../load/scale.ts";

export interface ActorsCommand {
  readonly point: ScalePoint;
  readonly frames: ScaleFrames;
  /** What the frames are; by default ordinary. */
  readonly profile?: ProfileName;
}

export async function measureActors(point: ScalePoint, frames: ScaleFrames): Promise<Figures> {
  const program = fileURLToPath(new URL("./scale-process.js", import.meta.url));
  const child = fork(program, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const answered = once(child, "message") as Promise<[Figures]>;
  const ended = once(child, "exit").then(() => Promise.reject(new Error("the process that runs the actors failed")));
  ended.catch(() => undefined);
  const command: ActorsCommand = { point, frames };
  child.send(command);
  const [figures] = await Promise.race([answered, ended]);
  return figures;
}
