/**
 * What a peer is: a system that a team would take instead of Weir, started from what is installed on this machine, and
 * given the events of the same workload in its own protocol, in the way that suits it best.
 *
 * One file here has both halves: `start` runs in the bench, `encode` and `connect` run in the generator (`peer-client.ts`).
 * A new peer is one such file and one line in `registry.ts`.
 */
import type { AnswerRow, WorkloadEvent } from "../workload.ts";
import type { PeerMachine } from "./machine.ts";

export interface Peer {
  readonly name: string;
  /** What is on disk when it acknowledges. */
  readonly durable: string;
  /** What it has counted when it acknowledges, or counts when it is asked. */
  readonly aggregates: string;
  /** Whether an event that is sent twice counts once; else its answer must have every event that was sent. */
  readonly deduplicates: boolean;
  readonly load: PeerLoad;
  /** Whether the small size has it: one of each server is enough there, and QuestDB has a test of its own. */
  readonly inSmallSize: boolean;
  /** What is missing on this machine and which package has it; undefined when it can run. Starts no server. */
  missing(machine: PeerMachine): Promise<string | undefined>;
  start(machine: PeerMachine): Promise<PeerServer>;
  readonly generator: PeerGenerator;
}

export interface PeerLoad {
  /** About what a small machine reaches: sizes the run, so that a slow peer does not take the whole time. */
  readonly eventsPerSecond: number;
  readonly connections: number;
  /** Requests that wait for their ack, on each connection. */
  readonly inFlight: number;
  /** Frames of 100 events in a request: 1, unless the peer needs larger requests to be of use. */
  readonly framesPerRequest: number;
}

export interface PeerGenerator {
  /** Whether what is sent has event ids in it. */
  readonly ids: boolean;
  /**
   * A frame as its bytes are sent, in parts; made once for each template, for later frames differ in event ids only. With
   * `ids`, every part has the id of every event once, as plain text and in the order of the events.
   */
  encode(events: readonly WorkloadEvent[]): readonly Uint8Array[];
  connect(address: PeerAddress): Promise<PeerConnection>;
}

/** Where the generator finds the server; goes through a process boundary as JSON. */
export interface PeerAddress {
  readonly port: number;
}

export interface PeerConnection {
  /** Resolves when the peer has acknowledged the request. Several may be in flight. */
  send(request: Buffer): Promise<void>;
  close(): Promise<void>;
}

export interface PeerServer {
  readonly version: string;
  readonly address: PeerAddress;
  /** Of its process and of all processes that it started. */
  cpuUs(): number;
  /** Events by type and country, all time, sorted: read back from the peer. */
  answer(): Promise<AnswerRow[]>;
  stop(): Promise<void>;
}
