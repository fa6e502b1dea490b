/**
 * The programs of `wasm/`, as the build compiles them into `dist/wasm/`. An instance has a memory of its own, which grows with what
 * it is given and never shrinks; it belongs to the thread that made it. They are a few kilobytes: compiled at once, on the spot.
 */
import { readFileSync } from "node:fs";
import type { ReadProgram } from "../protocol/plain-reader.ts";
import type { SplitProgram } from "../protocol/plain-splitter.ts";

/** Node's types leave it to those of a browser. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** A new instance of `wasm/split-frame.ts`. */
export function splitProgram(): SplitProgram {
  return instanceOf("split-frame") as SplitProgram;
}

/** A new instance of `wasm/read-frame.ts`. */
export function readProgram(): ReadProgram {
  return instanceOf("read-frame") as ReadProgram;
}

function instanceOf(program: string): unknown {
  const bytes = readFileSync(new URL(`../wasm/${program}.wasm`, import.meta.url));
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
}
