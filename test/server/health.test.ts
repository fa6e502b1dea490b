/** `/healthz`, `/readyz` in every state, `/metrics`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readyAnswerOf } from "../../server/health.ts";
import type { HostStatus, HostSupervision } from "../../workers/ports.ts";
import { hostStatus, startGateway, until } from "./gateway-fixture.ts";

test("readiness in every state", () => {
  const running = [hostStatus("running")];
  const cases = [
    [{ hosts: running, warehouse: "ready", draining: false }, "ready", "ready"],
    [{ hosts: running, warehouse: "off", draining: false }, "ready", "ready"],
    [{ hosts: running, warehouse: "pending", draining: false }, "degraded", "ready"],
    [{ hosts: running, warehouse: "ready", draining: true }, "draining", "ready"],
    [{ hosts: [], warehouse: "ready", draining: false }, "starting", "starting"],
    [{ hosts: [...running, hostStatus("starting")], warehouse: "ready", draining: false }, "starting", "starting"],
    [{ hosts: [...running, hostStatus("failed")], warehouse: "ready", draining: false }, "failed", "failed"],
    [{ hosts: [hostStatus("stopped"), hostStatus("starting")], warehouse: "ready", draining: false }, "failed", "failed"],
  ] as const;
  for (const [readiness, status, journal] of cases) {
    const answer = readyAnswerOf(readiness);
    assert.deepEqual([answer.status, answer.journal], [status, journal]);
  }
});

test("a host that is down degrades while others serve and it is expected back; else it is failed", () => {
  const each = (host: number, state: HostStatus["state"], rest: Partial<HostSupervision> = {}): HostSupervision => ({
    host,
    state,
    takesFrames: state === "running",
    restarts: 0,
    failures: 0,
    gaveUp: false,
    nextAttemptMs: null,
    lastError: null,
    ...rest,
  });
  const down = { failures: 2, restarts: 1, lastError: "WEIR_JOURNAL_COMMIT_FAILED", nextAttemptMs: 0 };
  const cases = [
    [[each(0, "running"), each(1, "running")], "ready", "ready"],
    [[each(0, "running"), each(1, "failed", down)], "degraded", "failed"],
    [[each(0, "running"), each(1, "starting", down)], "degraded", "starting"],
    [[each(0, "running"), each(1, "failed", { ...down, gaveUp: true })], "failed", "failed"],
    [[each(0, "failed", down)], "failed", "failed"],
    [[each(0, "starting"), each(1, "starting")], "starting", "starting"],
    [[each(0, "running"), each(1, "stopped", down)], "failed", "failed"],
  ] as const;
  for (const [supervision, status, journal] of cases) {
    const answer = readyAnswerOf({ hosts: [], supervision, warehouse: "ready", draining: false });
    assert.deepEqual([answer.status, answer.journal], [status, journal]);
  }
  assert.deepEqual(readyAnswerOf({ hosts: [], supervision: cases[1][0], warehouse: "off", draining: false }).hosts[1], {
    host: 1,
    state: "failed",
    restarts: 1,
    failuresInARow: 2,
    lastError: "WEIR_JOURNAL_COMMIT_FAILED",
    nextAttempt: "1970-01-01T00:00:00.000Z",
  });
});

test("a suspended table degrades, and is named", () => {
  const table = { table: "events", suspended: true, lagTransactions: 4, error: "disk full" } as const;
  const readiness = { hosts: [hostStatus("running")], warehouse: "ready", draining: false } as const;
  const answer = readyAnswerOf({ ...readiness, tables: [table] });
  assert.deepEqual([answer.status, answer.tables], ["degraded", [table]]);
  assert.equal(readyAnswerOf({ ...readiness, tables: [{ ...table, suspended: false }] }).status, "ready");
});

test("readyz answers 503 unless ready or degraded; healthz always 200", async (t) => {
  const { request, health, publisher, connect, gateway } = await startGateway(t);
  const ask = async () => {
    const response = await request("/readyz");
    return [response.status, ((await response.json()) as { status: string }).status];
  };
  assert.deepEqual(await ask(), [200, "ready"]);
  health.warehouse = "pending";
  assert.deepEqual(await ask(), [200, "degraded"]);
  health.hosts = [hostStatus("failed")];
  assert.deepEqual(await ask(), [503, "failed"]);
  assert.equal((await request("/healthz")).status, 200);
  health.hosts = [hostStatus("running")];
  publisher.holding = true;
  const socket = await connect("weir_acme_w");
  socket.send({ t: "pub", seq: 1, events: [] });
  await until(() => publisher.held === 1);
  const drained = gateway.drain();
  // Over the kept-alive connection of before: new ones are not accepted any more.
  assert.deepEqual(await ask(), [503, "draining"]);
  publisher.release();
  await drained;
});

test("metrics tell of the gateway, the hosts, their ledgers and the warehouse", async (t) => {
  const { request, metricsText } = await startGateway(t);
  await (await request("/nothing/with/an/endless/name")).text();
  const text = await metricsText();
  for (const line of [
    /^weir_build_info\{version="0\.0\.0",node="v[^"]+"\} 1$/m,
    /^weir_refusals_total\{code="WEIR_HTTP_NOT_FOUND"\} 1$/m,
    /^weir_request_duration_seconds_count\{method="GET",route="none",status="404"\} 1$/m,
    /^weir_host_up\{host="0"\} 1$/m,
    /^weir_journal_durable_offset\{host="0"\} 4$/m,
    /^weir_stage_busy_seconds\{host="0",stage="decode"\} 1\.5$/m,
    /^weir_ledger_imbalance_events\{host="0"\} 0$/m,
    /^weir_state_bytes\{host="0",kind="sessions"\} 2$/m,
    /^weir_state_bytes\{host="0",kind="letters"\} 5$/m,
    /^weir_state_full 2$/m,
    /^weir_state_nearly_full 3$/m,
    /^weir_state_full_frames_taken_total 7$/m,
    /^weir_cache_evictions_total\{host="0",cache="series"\} 4$/m,
    /^weir_cache_evictions_total\{host="0",cache="values"\} 5$/m,
    /^weir_warehouse_lag_records\{host="0"\} 2$/m,
  ]) {
    assert.match(text, line);
  }
});
