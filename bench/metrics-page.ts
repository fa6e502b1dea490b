/** Figures of a server's `/metrics` page. */

/** Sums over all hosts, by name, or by name and step: `weir_recovery_seconds:read`. Histograms are left out. */
export async function readMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`);
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
  return parseMetrics(await answer.text());
}

export function parseMetrics(page: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || name.endsWith("_bucket")) continue;
    const [, step] = /\bstep="(\w+)"/.exec(labels) ?? [];
    const key = step === undefined ? name : `${name}:${step}`;
    sums.set(key, (sums.get(key) ?? 0) + Number(value));
  }
  return sums;
}
