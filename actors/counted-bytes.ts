/**
 * What counts as the bytes of a tenant's state, for its budget (decision 0020): of each table what is in use, but at least half of
 * what is allocated. So the sum rises and falls smoothly, event by event, where allocated memory doubles at once and shrinks late;
 * and memory is at most twice the sum, whatever was sent and forgotten before.
 */
export function countedBytes(usedBytes: number, allocatedBytes: number): number {
  return Math.max(usedBytes, allocatedBytes / 2);
}
