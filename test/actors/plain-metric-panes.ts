/**
 * The plain version of `metric-panes.ts`, one series of a metric in objects: the panes of all partitions as a tree of hours,
 * minutes and 10 s slices.
 *
 *   hour ──┬── minute ──┬── slice        each node: partition -> its latest partial of exactly this size
 *          └── minute   └── slice        value of a node = its own partials + those of the nodes below, merged
 *
 * A partial REPLACES what the node and all nodes below it held from its partition, so a partial that arrives twice changes
 * nothing. Merged values are kept until something below changes.
 */
import { HOUR_MS, MINUTE_MS, type PaneSizeMs, type TimeSpan } from "../../protocol/windows.ts";
import type { MetricPlan, PaneStates } from "../../actors/metric-plan.ts";
import { FINE_MS, floorTo } from "../../actors/pane.ts";

class PaneNode {
  readonly startMs: number;
  readonly sizeMs: PaneSizeMs;
  readonly partials = new Map<number, PaneStates>();
  readonly children = new Map<number, PaneNode>();
  #merged: PaneStates | undefined;

  constructor(startMs: number, sizeMs: PaneSizeMs) {
    this.startMs = startMs;
    this.sizeMs = sizeMs;
  }

  get isEmpty(): boolean {
    return this.partials.size === 0 && this.children.size === 0;
  }

  child(startMs: number, sizeMs: PaneSizeMs): PaneNode {
    this.#merged = undefined;
    let child = this.children.get(startMs);
    if (child === undefined) this.children.set(startMs, (child = new PaneNode(startMs, sizeMs)));
    return child;
  }

  /** Returns how many partials there are more of, here and below. */
  replace(partition: number, states: PaneStates): number {
    this.#merged = undefined;
    const added = this.partials.has(partition) ? 0 : 1;
    this.partials.set(partition, states);
    return added - this.#forgetBelow(partition);
  }

  /** Not to be changed by the caller. */
  merged(plan: MetricPlan): PaneStates {
    if (this.#merged !== undefined) return this.#merged;
    const [only] = this.partials.values();
    if (only !== undefined && this.partials.size === 1 && this.children.size === 0) return (this.#merged = only);
    const states = plan.emptyStates();
    for (const partial of this.partials.values()) plan.merge(states, partial);
    for (const child of this.children.values()) plan.merge(states, child.merged(plan));
    return (this.#merged = states);
  }

  hasBelow(partition: number): boolean {
    return [...this.children.values()].some((child) => child.partials.has(partition) || child.hasBelow(partition));
  }

  /** Partials here and below. */
  count(): number {
    let count = this.partials.size;
    for (const child of this.children.values()) count += child.count();
    return count;
  }

  #forgetBelow(partition: number): number {
    let forgotten = 0;
    for (const [startMs, child] of this.children) {
      child.#merged = undefined;
      if (child.partials.delete(partition)) forgotten++;
      forgotten += child.#forgetBelow(partition);
      if (child.isEmpty) this.children.delete(startMs);
    }
    return forgotten;
  }

  /** Nodes inside the span that need not be split. A node with partials of its own size cannot be. */
  leaves(fromMs: number, toMs: number, sizeMaxMs: number, visit: (node: PaneNode) => void): void {
    if (this.startMs >= toMs || this.startMs + this.sizeMs <= fromMs) return;
    const inside = this.startMs >= fromMs && this.startMs + this.sizeMs <= toMs;
    if (this.partials.size > 0 || this.children.size === 0 || (inside && this.sizeMs <= sizeMaxMs)) return visit(this);
    for (const child of this.children.values()) child.leaves(fromMs, toMs, sizeMaxMs, visit);
  }
}

export class PlainSeries {
  readonly #hours = new Map<number, PaneNode>();

  /** Returns how many partials there are more of. */
  put(partition: number, startMs: number, sizeMs: PaneSizeMs, states: PaneStates): number {
    const hourMs = floorTo(startMs, HOUR_MS);
    let node = this.#hours.get(hourMs);
    if (node === undefined) this.#hours.set(hourMs, (node = new PaneNode(hourMs, HOUR_MS)));
    if (sizeMs < HOUR_MS) node = node.child(floorTo(startMs, MINUTE_MS), MINUTE_MS);
    if (sizeMs < MINUTE_MS) node = node.child(startMs, FINE_MS);
    return node.replace(partition, states);
  }

  /** Merged states of one minute or hour; undefined when nothing is there. */
  at(plan: MetricPlan, startMs: number, sizeMs: PaneSizeMs): PaneStates | undefined {
    const hour = this.#hours.get(floorTo(startMs, HOUR_MS));
    return (sizeMs === HOUR_MS ? hour : hour?.children.get(startMs))?.merged(plan);
  }

  /** The partition has panes in the span that are shorter than it. */
  hasBelow(partition: number, startMs: number, sizeMs: PaneSizeMs): boolean {
    const hour = this.#hours.get(floorTo(startMs, HOUR_MS));
    return (sizeMs === HOUR_MS ? hour : hour?.children.get(startMs))?.hasBelow(partition) ?? false;
  }

  /** Panes that together are the span. Those that reach over an end of it are taken whole. */
  visit(span: TimeSpan, sizeMaxMs: number, plan: MetricPlan, visit: (startMs: number, states: PaneStates) => void): void {
    for (const hour of this.#hours.values())
      hour.leaves(span.fromMs, span.toMs, sizeMaxMs, (node) => visit(node.startMs, node.merged(plan)));
  }

  /** Forgets hours that end at `keepFromMs` or before; returns how many partials went with them. */
  drop(keepFromMs: number): number {
    let dropped = 0;
    for (const [hourMs, hour] of this.#hours) {
      if (hourMs + HOUR_MS > keepFromMs) continue;
      dropped += hour.count();
      this.#hours.delete(hourMs);
    }
    return dropped;
  }
}
