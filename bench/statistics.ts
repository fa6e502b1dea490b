/** Medians, quantiles and ratios of measurements. */

/** The nearest-rank quantile of ascending values; NaN of none. */
export function quantileOf(ascending: ArrayLike<number>, share: number): number {
  const rank = Math.max(1, Math.ceil(share * ascending.length));
  return ascending[rank - 1] ?? Number.NaN;
}

export function medianOf(values: readonly number[]): number {
  const ascending = values.toSorted((left, right) => left - right);
  const middle = Math.floor(ascending.length / 2);
  const upper = ascending[middle] ?? Number.NaN;
  return ascending.length % 2 === 1 ? upper : ((ascending[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The median of a figure over all rounds. */
export function medianFigures<Figures extends Readonly<Record<string, number>>>(
  rounds: readonly Figures[],
): Record<keyof Figures, number> {
  const [first] = rounds;
  if (first === undefined) throw new RangeError("no rounds");
  const names = Object.keys(first) as (keyof Figures)[];
  return Object.fromEntries(names.map((name) => [name, medianOf(rounds.map((round) => round[name]))])) as Record<
    keyof Figures,
    number
  >;
}

/** How much y rises with x, by the line with the least squares; NaN of fewer than two points. */
export function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(xs), mean(ys)];
  const rise = xs.reduce((sum, x, at) => sum + (x - meanX) * ((ys[at] ?? Number.NaN) - meanY), 0);
  return rise / xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
}
