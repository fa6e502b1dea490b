/** All families of the corpus by name, in the order in which they run: what takes most memory comes last. */
import type { CorpusCase } from "../corpus-case.ts";
import { bombs } from "./bombs.ts";
import { controlFrames } from "./control-frames.ts";
import { extensions } from "./extensions.ts";
import { http } from "./http.ts";
import { hostileNames } from "./names.ts";
import { numbersAndTimes } from "./numbers-and-times.ts";
import { sockets } from "./sockets.ts";
import { texts } from "./texts.ts";

export { slowHeads } from "./http.ts";

export const families: Readonly<Record<string, readonly CorpusCase[]>> = {
  extensions,
  names: hostileNames,
  "numbers and times": numbersAndTimes,
  texts,
  "control frames": controlFrames,
  sockets,
  http,
  bombs,
};
