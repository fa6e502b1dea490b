/** What the server says of a receipt: `POST /v1/receipts/verify`. */

export interface ReceiptAnswer {
  /**
   * `valid`: the journal holds what was acknowledged. `gone`: it was acknowledged, and the journal has let go of it since, which
   * it does once rows are in the warehouse. `lost`: it was acknowledged and is not there: data loss.
   * `forged`: it is not a receipt of this server for this tenant.
   */
  readonly result: "valid" | "gone" | "lost" | "forged";
  readonly totalEvents?: number;
  readonly failedEvents?: number;
  readonly records?: readonly {
    readonly host: number;
    readonly offset: number;
    readonly ingestTimeMs?: number;
    /** Events by `accepted` or the code of their verdict. */
    readonly verdicts?: Readonly<Record<string, number>>;
  }[];
}
