/**
 * What a fault test is: one fault, put upon a real server, and what came of it. Each family of faults is a file with a table of
 * these; `main.ts` runs them one after the other and prints what they found.
 */
import type { Tool } from "./tools.ts";

export interface Fault {
  readonly name: string;
  /** What happens to the server, in a few words. */
  readonly fault: string;
  /** What it is to do about it. */
  readonly expected: string;
  /** Without one of them the test is skipped. */
  readonly needs?: readonly Tool[];
  /** Rejects when the reaction is another one, or the server does not recover. */
  run(context: FaultContext): Promise<Finding>;
}

export interface FaultContext {
  readonly seed: number;
  /** Of what is tried at random: how often. */
  readonly tries: number;
  readonly progress: (line: string) => void;
}

export interface Finding {
  /** What the server did, as seen from outside. */
  readonly reaction: string;
  /** From the end of the cause to the next frame that was acknowledged and to a server that calls itself ready. */
  readonly recoveryMs?: number;
  readonly acked: number;
  readonly lost: number;
  readonly doubled: number;
  /** What is known to be missing in the server, of docs/operations.md: it is shown and does not fail the test. */
  readonly gaps?: readonly string[];
  /** All that must not be, in words. */
  readonly problems: readonly string[];
}
