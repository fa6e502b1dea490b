/**
 * Which frames and events of a run are whose and what they are, as a pure function of the workload's parameters: the load
 * client, the expected answer and the expected verdicts all read it, so they cannot disagree.
 *
 * Frame f of a run is template f mod `templates`; a template belongs to one tenant, and tenant r has a share of them in
 * proportion to 1 / (r + 1). Each tenant's events are one stream, cut into frames; of every 100 events of a stream:
 *
 *   c c c f f ... l ... i ... l ... f f S S S      c copies, id included, of the S of the 100 before
 *                                                  l late, i invalid, f and S fresh
 *
 * The pattern is over the stream and not over the frame, so it is the same mix at every batch size.
 */
export interface WorkloadMix {
  readonly templates: number;
  /** Events in a frame. */
  readonly batch: number;
  readonly tenants: number;
  readonly duplicatesPer100: number;
  readonly latePer100: number;
  readonly invalidPer100: number;
}

export const EVENT_KINDS = { fresh: 0, copy: 1, late: 2, invalid: 3 } as const;
export type EventKind = (typeof EVENT_KINDS)[keyof typeof EVENT_KINDS];

/** An event of a template by its place, and how far from its own number that of the original lies: 0 for no copy. */
export interface PlannedEvent {
  readonly kind: EventKind;
  readonly originalTemplate: number;
  readonly originalSlot: number;
  readonly numbersBack: number;
}

const PERIOD = 100;

export class WorkloadPlan {
  readonly #mix: WorkloadMix;
  readonly #pattern: readonly EventKind[];
  /** For each tenant, its templates in the order of their frames. */
  readonly #templatesOf: readonly (readonly number[])[];
  /** For each template, whose it is and the how many-th of that tenant. */
  readonly #placeOf: readonly { readonly tenant: number; readonly rank: number }[];

  constructor(mix: WorkloadMix) {
    this.#mix = mix;
    this.#pattern = patternOf(mix);
    const tenantOf = shareOut(mix.templates, mix.tenants);
    const templatesOf: number[][] = Array.from({ length: mix.tenants }, () => []);
    this.#placeOf = tenantOf.map((tenant, template) => {
      const own = templatesOf[tenant] ?? [];
      return { tenant, rank: own.push(template) - 1 };
    });
    this.#templatesOf = templatesOf;
  }

  tenantOf(template: number): number {
    return this.#place(template).tenant;
  }

  /** The frame of the run that is the tenant's `ordinal`-th. */
  frameOf(tenant: number, ordinal: number): number {
    const own = this.#templatesOf[tenant] ?? [];
    const template = own[ordinal % own.length];
    if (template === undefined) throw new RangeError(`no tenant ${tenant}`);
    return Math.floor(ordinal / own.length) * this.#mix.templates + template;
  }

  /** How many of the frames 0 .. frames - 1 are the tenant's. */
  framesOf(tenant: number, frames: number): number {
    const own = this.#templatesOf[tenant] ?? [];
    return own.reduce((sum, template) => sum + this.usesOf(template, frames), 0);
  }

  /** How many of the frames 0 .. frames - 1 are this template. */
  usesOf(template: number, frames: number): number {
    return Math.max(0, Math.floor((frames - template + this.#mix.templates - 1) / this.#mix.templates));
  }

  eventAt(template: number, slot: number): PlannedEvent {
    const { batch, duplicatesPer100, templates } = this.#mix;
    const { tenant, rank } = this.#place(template);
    const own = this.#templatesOf[tenant] ?? [];
    const length = own.length * batch;
    const position = rank * batch + slot;
    // A rest that makes no whole period is fresh, so that the copies at the start of the next pass have their originals there.
    const kind =
      position < length - (length % PERIOD) ? (this.#pattern[position % PERIOD] ?? EVENT_KINDS.fresh) : EVENT_KINDS.fresh;
    if (kind !== EVENT_KINDS.copy) return { kind, originalTemplate: template, originalSlot: slot, numbersBack: 0 };
    const source = (position - duplicatesPer100 + length) % length;
    const originalTemplate = own[Math.floor(source / batch)] ?? template;
    const originalSlot = source % batch;
    const numbers = template * batch + slot - (originalTemplate * batch + originalSlot);
    const numbersBack = source < position ? numbers : numbers + templates * batch;
    return { kind, originalTemplate, originalSlot, numbersBack };
  }

  /** Of each event of a template. */
  numbersBack(template: number): Float64Array {
    return Float64Array.from({ length: this.#mix.batch }, (_, slot) => this.eventAt(template, slot).numbersBack);
  }

  #place(template: number): { readonly tenant: number; readonly rank: number } {
    const place = this.#placeOf[template];
    if (place === undefined) throw new RangeError(`no template ${template}`);
    return place;
  }
}

function patternOf({ duplicatesPer100: copies, latePer100, invalidPer100 }: WorkloadMix): EventKind[] {
  const refused = latePer100 + invalidPer100;
  const room = PERIOD - 2 * copies;
  if (refused > room) throw new RangeError("more late and invalid events than there is room for between the copies");
  const pattern = Array.from({ length: PERIOD }, (_, position): EventKind =>
    position < copies ? EVENT_KINDS.copy : EVENT_KINDS.fresh,
  );
  const isLate = shareOutBy([latePer100, invalidPer100], refused);
  for (const [index, which] of isLate.entries()) {
    pattern[copies + Math.floor(((index + 0.5) * room) / refused)] = which === 0 ? EVENT_KINDS.late : EVENT_KINDS.invalid;
  }
  return pattern;
}

/** Whose each of `count` things is: in each prefix everyone has their share, 1 / (rank + 1), give or take one. */
function shareOut(count: number, tenants: number): number[] {
  return shareOutBy(
    Array.from({ length: tenants }, (_, rank) => 1 / (rank + 1)),
    count,
  );
}

/** Smooth weighted round robin: the one that is owed most is next. */
function shareOutBy(weights: readonly number[], count: number): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const owed = weights.map(() => 0);
  return Array.from({ length: count }, () => {
    for (const [index, weight] of weights.entries()) owed[index] = (owed[index] ?? 0) + weight;
    const next = owed.indexOf(Math.max(...owed));
    owed[next] = (owed[next] ?? 0) - total;
    return next;
  });
}

/** So many connections for each tenant, in proportion to its frames and at least one each. */
export function shareConnections(connections: number, tenants: number): number[] {
  if (connections < tenants) throw new RangeError(`${connections} connections are too few for ${tenants} tenants`);
  const counts = Array.from({ length: tenants }, () => 1);
  for (const tenant of shareOut(connections - tenants, tenants)) counts[tenant] = (counts[tenant] ?? 0) + 1;
  return counts;
}
