/**
 * What connections do at the end of a turn of the event loop: one microtask for all of them, in place of a microtask and a
 * closure for each: frames of one event answer most connections in every turn (`npm run bench -- ingest-batches`).
 */
export interface TurnEnder {
  endTurn(): void;
}

export class TurnEnd {
  #waiting: TurnEnder[] = [];

  /** Calls `endTurn` once, when what runs now has run. */
  call(ender: TurnEnder): void {
    if (this.#waiting.push(ender) === 1) queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    const enders = this.#waiting;
    this.#waiting = [];
    for (const ender of enders) ender.endTurn();
  };
}
