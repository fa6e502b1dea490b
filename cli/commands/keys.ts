/** `weir keys`: API keys, straight in the data directory; a running server sees the change with its next look. */
import { Option, type Command } from "commander";
import { WeirError } from "../../protocol/error-codes.ts";
import { isTenantId } from "../../protocol/ids.ts";
import { HOUR_MS } from "../../protocol/windows.ts";
import { scopes, type ApiKey, type Scope } from "../../server/key-store.ts";
import { printJson, printLine } from "../connect-options.ts";
import { operator, withDataOptions, withKeyStore, type DataFlags } from "../data-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { formatTable } from "../table.ts";
import { commaList, duration, instant } from "../values.ts";

interface CreateFlags extends DataFlags {
  readonly tenant: string;
  readonly scopes?: readonly Scope[];
  readonly expires?: number;
  readonly expiresAt?: number;
}

export function addKeysCommand(program: Command): void {
  const keys = program.command("keys").description("Create, list, rotate and revoke API keys");
  withDataOptions(keys.command("create").description("Make a key, and its tenant when it is new; the key is shown once"))
    .option("--tenant <tenant>", "whose key it is: a-z, 0-9 and -", "demo")
    .addOption(new Option("--scopes <scopes>", `some of ${scopes.join(",")}; admin includes the others`).argParser(parseScopes))
    .option("--expires <span>", "it ends after 90s, 15m, 1h, 30d (default: never)", duration)
    .addOption(
      new Option("--expires-at <time>", "it ends then (ISO 8601 with a zone, or epoch ms)")
        .argParser(instant)
        .conflicts("expires"),
    )
    .addHelpText(
      "after",
      `
Examples:
  weir keys create --tenant shop --scopes write,read --expires 90d
  export WEIR_KEY=$(weir keys create --json | jq -r .key)
${exitCodesHelp}`,
    )
    .action(create);
  withDataOptions(keys.command("list").description("Keys without their secrets"))
    .option("--tenant <tenant>", "only this tenant's")
    .action(list);
  withDataOptions(
    keys.command("rotate").description("Make a key with the same scopes and lifetime; the old one ends after the overlap"),
  )
    .argument("<keyId>", "as `weir keys list` shows it")
    .option("--overlap <span>", "how long both are good: 0s, 15m, 1h, 7d", duration, HOUR_MS)
    .addHelpText(
      "after",
      `
Examples:
  weir keys rotate 3f2a9c0d1b7e4455 --overlap 1h
  weir keys rotate 3f2a9c0d1b7e4455 --overlap 0s --json
${exitCodesHelp}`,
    )
    .action(rotate);
  withDataOptions(keys.command("revoke").description("Make a key worthless, within a second also on open connections"))
    .argument("<keyId>", "as `weir keys list` shows it")
    .action(revoke);
}

async function create(flags: CreateFlags): Promise<void> {
  const { tenant } = flags;
  if (!isTenantId(tenant)) throw new UsageError("a tenant is 1-64 of a-z, 0-9 and -, and does not start with -");
  const nowMs = Date.now();
  const expiresMs = flags.expiresAt ?? (flags.expires === undefined ? undefined : nowMs + flags.expires);
  if (expiresMs !== undefined && expiresMs <= nowMs) throw new UsageError("the key would have expired already");
  await withKeyStore(flags, async (store) => {
    const granted = flags.scopes ?? ["write", "read"];
    const { key, ...made } = await store.createKey(tenant, granted, nowMs, { expiresMs, author: operator() });
    if (flags.json === true) printJson({ key, keyId: made.keyId, tenant, scopes: made.scopes, ...expiryOf(made) });
    else printKey(key, made);
  });
}

function printKey(key: string, { keyId, tenant, scopes: granted, expiresMs }: ApiKey): void {
  const end = expiresMs === undefined ? "" : `, good until ${new Date(expiresMs).toISOString()}`;
  printLine(
    `${key}\n\nkey id ${keyId}, tenant ${tenant}, scopes ${granted.join(", ")}${end}. The key is not stored: keep it now.`,
  );
}

function expiryOf({ expiresMs }: ApiKey): { expires?: string } {
  return expiresMs === undefined ? {} : { expires: new Date(expiresMs).toISOString() };
}

async function list(flags: DataFlags & { tenant?: string }): Promise<void> {
  await withKeyStore(flags, (store) => {
    const nowMs = Date.now();
    const tenants = store.tenants().filter((tenant) => flags.tenant === undefined || tenant === flags.tenant);
    const keys = tenants
      .flatMap((tenant) => store.listKeys(tenant))
      .map((key) => ({ ...key, state: store.keyState(key.keyId, nowMs) }));
    if (flags.json === true) {
      printJson({ keys });
      return;
    }
    const rows = keys.map((key) => ({
      "key id": key.keyId,
      tenant: key.tenant,
      scopes: key.scopes.join(" "),
      created: new Date(key.createdMs).toISOString(),
      expires: expiryOf(key).expires ?? "never",
      state: key.state,
    }));
    printLine(rows.length === 0 ? "no keys" : formatTable(rows));
  });
}

async function rotate(keyId: string, flags: DataFlags & { overlap: number }): Promise<void> {
  await withKeyStore(flags, async (store) => {
    const { made, old } = await store.rotateKey(keyId, flags.overlap, Date.now(), operator());
    const { key, ...shown } = made;
    if (flags.json === true) {
      const replaced = { keyId: old.keyId, ...expiryOf(old) };
      printJson({ key, keyId: made.keyId, tenant: made.tenant, scopes: made.scopes, ...expiryOf(made), replaced });
      return;
    }
    printKey(key, shown);
    printLine(`It replaces ${old.keyId}, which is good until ${expiryOf(old).expires ?? "now"}.`);
  });
}

async function revoke(keyIdOrKey: string, flags: DataFlags): Promise<void> {
  await withKeyStore(flags, async (store) => {
    const keyId = store.verifyKey(keyIdOrKey)?.keyId ?? keyIdOrKey;
    if (!(await store.revokeKey(keyId, Date.now(), operator()))) throw new WeirError("WEIR_AUTH_KEY_UNKNOWN");
    if (flags.json === true) printJson({ revoked: keyId });
    else printLine(`revoked ${keyId}`);
  });
}

function parseScopes(text: string): readonly Scope[] {
  return commaList(text).map((name) => {
    const scope = scopes.find((each) => each === name);
    if (scope === undefined) throw new UsageError(`--scopes takes some of ${scopes.join(",")}`);
    return scope;
  });
}
