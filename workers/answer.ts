/**
 * Answers the questions that the gateway asks a host. Shapes are in `messages.ts`. What is read from a partition's memory is
 * given away only when the journal is on disk up to there (promise 8).
 */
import type { TenantId } from "../protocol/ids.ts";
import { decodeDeadLetter, deadLetterCode } from "../actors/dead-letter.ts";
import { DEAD_LETTERS } from "../actors/pending-letters.ts";
import type { Session } from "../actors/session.ts";
import { deadLetterText } from "./dead-letter-text.ts";
import type { HostOptions } from "./host-options.ts";
import type { HostQuestions, QuestionKind } from "./messages.ts";
import type { OpenHost } from "./open-host.ts";
import type { DeadLetterView, Ledger, SessionView } from "./ports.ts";
import { hostOfMetric } from "./route-partials.ts";

export async function answerQuestion(
  host: OpenHost,
  options: HostOptions,
  kind: QuestionKind,
  ask: unknown,
  nowMs: number,
): Promise<unknown> {
  switch (kind) {
    case "collect":
      await host.partitionHost.collect();
      return null;
    case "define": {
      const { tenant, definitions, ingestTimeMs } = ask as HostQuestions["define"]["ask"];
      const fresh = host.metricHost.missing(tenant, definitions);
      await host.partitionHost.define(tenant, definitions, ingestTimeMs);
      return fresh;
    }
    case "recollectFor": {
      const { host: target } = ask as HostQuestions["recollectFor"]["ask"];
      for (const partition of host.partitions.values()) {
        for (const { tenant, metrics } of partition.tenants.values()) {
          const theirs = [...metrics.keys()].filter((name) => hostOfMetric(tenant, name, options.hosts) === target);
          partition.recollectMetrics(tenant, theirs);
        }
      }
      await host.partitionHost.collect();
      return null;
    }
    case "recollect": {
      const { tenant, metrics } = ask as HostQuestions["recollect"]["ask"];
      for (const partition of host.partitions.values()) partition.recollectMetrics(tenant, metrics);
      return null;
    }
    case "query": {
      const { tenant, queries } = ask as HostQuestions["query"]["ask"];
      return queries.map((query) => host.metricHost.query(tenant, query));
    }
    case "open": {
      const { address, since } = ask as HostQuestions["open"]["ask"];
      return host.metricHost.open(address, since, nowMs);
    }
    case "session": {
      const { tenant, sessionId } = ask as HostQuestions["session"]["ask"];
      const view = findSession(host, options, tenant, sessionId);
      await host.partitionHost.flush();
      return view;
    }
    case "clock":
      return host.metricHost.clock((ask as HostQuestions["clock"]["ask"]).tenant);
    case "ledger": {
      const view = ledgerOf(host, (ask as HostQuestions["ledger"]["ask"]).tenant);
      await host.partitionHost.flush();
      return view;
    }
    case "deadLetters": {
      const views = deadLettersOf(host, ask as HostQuestions["deadLetters"]["ask"]);
      await host.partitionHost.flush();
      return views;
    }
    case "snapshot":
      await host.metricHost.writeRows();
      await host.snapshots.takeFresh(nowMs);
      return host.journal.appendedOffset;
    case "drain":
      return null;
  }
}

function findSession(host: OpenHost, options: HostOptions, tenant: TenantId, sessionId: string): SessionView | undefined {
  for (const partition of host.partitions.values()) {
    const state = partition.tenants.get(tenant);
    const session = state?.sessions.find(sessionId);
    if (state !== undefined && session !== undefined) return sessionView(session, state.watermarkMs, options.rules.gapMs);
  }
  return undefined;
}

function sessionView(session: Session, watermarkMs: number, gapMs: number): SessionView {
  const open = session.isOpen(watermarkMs, gapMs);
  return {
    sessionId: session.id,
    userId: session.userId ?? null,
    events: session.events,
    firstEventTimeMs: session.startMs,
    lastEventTimeMs: session.endMs,
    durationMs: session.endMs - session.startMs,
    open,
    eventTypes: Object.fromEntries(session.eventTypes),
    segments: session.segments.map(({ startMs, endMs, events }, index) => ({
      startMs,
      endMs,
      durationMs: endMs - startMs,
      events,
      open: open && index === session.segments.length - 1,
    })),
  };
}

function ledgerOf(host: OpenHost, tenant: TenantId): Ledger {
  const sum = { received: 0, accepted: 0, duplicate: 0, late: 0, invalid: 0 };
  for (const partition of host.partitions.values()) {
    const ledger = partition.tenants.get(tenant)?.ledger;
    if (ledger === undefined) continue;
    for (const key of ["received", "accepted", "duplicate", "late", "invalid"] as const) sum[key] += ledger[key];
  }
  return sum;
}

function deadLettersOf(host: OpenHost, ask: HostQuestions["deadLetters"]["ask"]): DeadLetterView[] {
  const views: DeadLetterView[] = [];
  for (const [id, store] of host.stores) {
    let left = ask.limit;
    // The latest first.
    const stored = store.range(DEAD_LETTERS, [ask.tenant], [`${ask.tenant}\0`], { reverse: true });
    for (const { key, value } of host.partitions.get(id)?.deadLetters(ask.tenant, stored) ?? []) {
      if (left <= 0) break;
      const letter = decodeDeadLetter(value);
      const code = deadLetterCode(letter);
      if (ask.code !== undefined && ask.code !== code) continue;
      left--;
      views.push({
        host: Number(key[2]),
        offset: Number(key[3]),
        index: Number(key[4]),
        code,
        path: letter.path === "" ? null : letter.path,
        eventId: letter.eventId,
        ingestTimeMs: letter.ingestTimeMs,
        raw: deadLetterText(letter.format, letter.raw),
      });
    }
  }
  return views.toSorted((a, b) => b.ingestTimeMs - a.ingestTimeMs).slice(0, ask.limit);
}
