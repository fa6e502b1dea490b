/**
 * Where the time of a host's start goes, in milliseconds: environments opened, snapshots read, the journal read, its events
 * applied, partials handed to stage 2.
 */
export interface RecoveryTimes {
  openMs: number;
  restoreMs: number;
  readMs: number;
  applyMs: number;
  collectMs: number;
}

export function newRecoveryTimes(): RecoveryTimes {
  return { openMs: 0, restoreMs: 0, readMs: 0, applyMs: 0, collectMs: 0 };
}
