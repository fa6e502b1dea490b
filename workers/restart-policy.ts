/** When a host that failed is opened again: at once the first time, then at growing pauses with jitter up to a cap. */
export interface RestartPolicy {
  readonly pauseMsMin: number;
  readonly pauseMsMax: number;
  /** After so many failures in a row the host is reported `failed`. It is still tried, at the longest pause. */
  readonly attemptsMax: number;
  /** A host that has run for so long has got over it: the next failure is the first one again. */
  readonly wellAfterMs: number;
}

export const restartPolicyDefault: RestartPolicy = { pauseMsMin: 100, pauseMsMax: 30_000, attemptsMax: 8, wellAfterMs: 60_000 };

/** `failures` in a row, 1 for the first. `random` in [0, 1): hosts that failed together do not come back together. */
export function restartPauseMs(policy: RestartPolicy, failures: number, random: number): number {
  // Beyond 2^30 the cap has long been reached, and the power must not overflow.
  const full = Math.min(policy.pauseMsMax, policy.pauseMsMin * 2 ** Math.min(30, failures - 1));
  return Math.round(full * (0.5 + random / 2));
}
