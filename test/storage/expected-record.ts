/** The record that every test writes at an offset: its length and bytes follow from the offset. */
export function expectedRecord(offset: number): Uint8Array {
  const record = new Uint8Array(10 + ((offset * 7919) % 20_000)).fill(offset % 251);
  new DataView(record.buffer).setFloat64(0, offset);
  return record;
}

/** One so small that those of a commit share an entry. */
export function expectedSmallRecord(offset: number): Uint8Array {
  return expectedRecord(offset).subarray(0, 170 + (offset % 50));
}
