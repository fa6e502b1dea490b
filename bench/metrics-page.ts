/** Figures of a server's `/metrics` page. */

/** Sums over all labels, by name; histograms are left out. */
export async function readMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`);
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
  return parseMetrics(await answer.text());
}

export function parseMetrics(page: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || name.endsWith("_bucket")) continue;
    sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  return sums;
}
