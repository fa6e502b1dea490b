/** What the `weir` command ends with; the same for every command and stated in its help. */
export const exitCodes = {
  ok: 0,
  /** Nothing, or not everything that was asked, could be done. */
  failed: 1,
  /** The command ran to its end, but some events failed. */
  partly: 2,
  /** The command line itself is wrong (EX_USAGE of sysexits.h). */
  usage: 64,
} as const;

export const exitCodesHelp = `
Exit codes: 0 done, 1 failed, 2 done but some events failed, 64 wrong usage`;

/** `weir audit` alone: its answer is its exit code. */
export const auditExitCodes = { balanced: 0, imbalance: 1, unchecked: 2 } as const;
