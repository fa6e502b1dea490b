/** What an audit says, on the wire and from the command line: figures and the sums that hold or do not (promise 4). */

/** Each sum by its name, and what it states. `docs/operations.md` explains them. */
export const auditSums = {
  ledger: "received = accepted + duplicate + late + invalid",
  "dead-letters": "dead letters kept + removed by age = late + invalid",
  panes: "accepted before the metric + aged out of its panes + in its panes = accepted",
  replay: "the journal behind the snapshots gives the verdicts that it holds",
  journal: "verdicts in the journal = ledger",
  "raw-rows": "rows in `events` = accepted",
  "live-panes": "events in live panes = events in the partitions' panes",
  "metric-rows": "events in `metric_panes` = events in the partitions' panes",
} as const;
export type AuditSum = keyof typeof auditSums;

export interface AuditCheck {
  readonly sum: AuditSum;
  readonly tenant: string | null;
  /** null: of all partitions together. */
  readonly partition: number | null;
  /** `skipped`: there is nothing to compare. `unchecked`: there would be, and it could not be reached. */
  readonly state: "holds" | "broken" | "skipped" | "unchecked";
  readonly expected: number | null;
  readonly actual: number | null;
  /** What the numbers are of, or why there are none. */
  readonly note: string | null;
}

/** One tenant's figures in one partition. */
export interface AuditFigures {
  readonly tenant: string;
  readonly partition: number;
  readonly received: number;
  readonly accepted: number;
  readonly duplicate: number;
  readonly late: number;
  readonly invalid: number;
  readonly deadLettersKept: number;
  readonly deadLettersRemoved: number;
  /** Of the metric by which panes are checked; null when the tenant has none that counts every event. */
  readonly eventsInPanes: number | null;
  readonly eventsAged: number | null;
  /** null: not asked for, or not reached. */
  readonly rawRows: number | null;
}

export interface AuditReport {
  /** `unchecked` when no sum is broken and some could not be checked. */
  readonly result: "balanced" | "imbalance" | "unchecked";
  readonly figures: readonly AuditFigures[];
  readonly checks: readonly AuditCheck[];
}

export function auditReport(figures: readonly AuditFigures[], checks: readonly AuditCheck[]): AuditReport {
  const broken = checks.some(({ state }) => state === "broken");
  const unchecked = checks.some(({ state }) => state === "unchecked");
  return { result: broken ? "imbalance" : unchecked ? "unchecked" : "balanced", figures, checks };
}
