/** The order of the benches on the page of results, and what is said of each before its figures. */
interface Introduction {
  readonly title: string;
  readonly text: string;
}

export const introductions: Readonly<Record<string, Introduction>> = {
  ingest: {
    title: "Durable ingest",
    text:
      "Four tenants send events in frames of 100 over 16 connections: 3% are duplicates, 2% late, 1% invalid. First as fast as " +
      "acks come back, then at 10, 50 and 80% of that rate, timed from the planned moment of sending. Weir's ack means aggregated " +
      "and on disk; that of the naive server (`ws`, `JSON.parse`, zod, maps) aggregated in memory.",
  },
  "ingest-clean": {
    title: "Durable ingest of clean events",
    text: "The same with one tenant, no late and no invalid events.",
  },
  "ingest-batches": {
    title: "Batch size",
    text: "The same events in frames of 1, 10, 100 and 1,000. Single events and tens go over 64 connections.",
  },
  "naive-ingest": { title: "The naive server alone", text: "What the yardstick and the load generator do by themselves." },
  peers: { title: "Peers", text: "What one would take instead, with the same events on the same machine in the same rounds." },
  latency: {
    title: "The age of a number",
    text: "From the planned sending of an event to its ack, to the first delta that includes it, and to the warehouse.",
  },
  fanout: { title: "Fan-out", text: "What many subscribers cost, and how old the numbers are that they see." },
  query: { title: "Queries", text: "How fast questions are answered, live and from the warehouse." },
  recovery: { title: "Recovery", text: "From the start of the process to ready after `kill -9`, with a long journal." },
  warehouse: { title: "Warehouse", text: "How fast events reach QuestDB, and what that costs." },
  scale: { title: "Scale", text: "What an event costs with more sessions, series, partitions and threads." },
  hostile: { title: "Frames made to be slow", text: "A quiet tenant beside one that chooses well what it sends." },
  memory: { title: "Memory", text: "Bytes for each session, id and series." },
  fairness: { title: "Fairness", text: "A quiet tenant's ack latency beside one that sends a hundred times its share." },
  overload: {
    title: "Overload",
    text: "Memory, acks and a reader's questions at full load, at three times of it, and when thousands connect at once.",
  },
  soak: { title: "Soak", text: "The same load for long: what grows, what slows down." },
  micro: { title: "Parts", text: "Single parts in one thread, without sockets and disks." },
};

/** Known ones in their order, others behind them by name; `ingest-questdb` and `micro-reader` go with the longest name they start with. */
export function placeOf(bench: string): number {
  const names = Object.keys(introductions);
  const known = nameOf(bench);
  return known === undefined ? names.length : names.indexOf(known);
}

export function introductionOf(bench: string): Introduction {
  const known = nameOf(bench);
  return (known === undefined ? undefined : introductions[known]) ?? { title: bench, text: "" };
}

function nameOf(bench: string): string | undefined {
  const matching = Object.keys(introductions).filter((name) => bench === name || bench.startsWith(`${name}-`));
  return matching.toSorted((one, other) => other.length - one.length)[0];
}
