/**
 * A histogram for what happens with every frame: an observation is a comparison or two and three additions. The library's own
 * `observe` makes an object and a key of text each time. With acks written by hand and one object a frame it is what nearly
 * halved the gateway's time for a frame of one event (`npm run bench -- ingest-batches`). The values are put into the library's
 * form when they are asked for, at a scrape; the text is the same (`tallied-histogram.property.test.ts`).
 */
import type { Histogram, Registry } from "prom-client";

export interface TalliedHistogramOptions {
  readonly name: string;
  readonly help: string;
  /** Its one label. */
  readonly label: string;
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[];
}

/** The observations with one value of the label. */
export class TalliedSeries {
  readonly value: string;
  readonly #bounds: readonly number[];
  /** Not cumulative; the last one is what is above every bound. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(value: string, bounds: readonly number[]) {
    this.value = value;
    this.#bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}

export class TalliedHistogram {
  readonly #options: TalliedHistogramOptions;
  readonly #series: TalliedSeries[] = [];

  constructor(options: TalliedHistogramOptions, registry: Registry) {
    this.#options = options;
    const { name, help } = options;
    // What a registry asks of a metric is its name and its values.
    const metric = { name, help, type: "histogram", aggregator: "sum", get: async () => this.#get() };
    registry.registerMetric(metric as unknown as Histogram);
  }

  /** To be kept by the one who observes. It is not in a scrape before its first observation. */
  series(value: string): TalliedSeries {
    const series = new TalliedSeries(value, this.#options.buckets);
    this.#series.push(series);
    return series;
  }

  #get() {
    const { name, help, label, buckets } = this.#options;
    const values = this.#series.flatMap(({ value, counts, sum, count }) => {
      if (count === 0) return [];
      const labels = { [label]: value };
      let cumulative = 0;
      const below = buckets.map((bound, bucket) => {
        cumulative += counts[bucket] ?? 0;
        return { metricName: `${name}_bucket`, labels: { le: bound, ...labels }, value: cumulative };
      });
      return [
        ...below,
        { metricName: `${name}_bucket`, labels: { le: "+Inf", ...labels }, value: count },
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
    return { name, help, type: "histogram", aggregator: "sum", values };
  }
}
