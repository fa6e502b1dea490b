/** `weir keys`: API keys, straight in the data directory; a running server sees the change with its next look. */
import { Option, type Command } from "commander";
import { WeirError } from "../../protocol/error-codes.ts";
import { isTenantId } from "../../protocol/ids.ts";
import { parseConfig } from "../../server/config.ts";
import { openKeyStore, scopes, type KeyStore, type Scope } from "../../server/key-store.ts";
import { printJson, printLine } from "../connect-options.ts";
import { exitCodesHelp } from "../exit-codes.ts";
import { UsageError } from "../failure.ts";
import { formatTable } from "../table.ts";
import { commaList } from "../values.ts";

interface KeyFlags {
  readonly data?: string;
  readonly json?: boolean;
}

export function addKeysCommand(program: Command): void {
  const keys = program.command("keys").description("Create, list and revoke API keys");
  withDataOptions(keys.command("create").description("Make a key, and its tenant when it is new; the key is shown once"))
    .option("--tenant <tenant>", "whose key it is: a-z, 0-9 and -", "demo")
    .addOption(new Option("--scopes <scopes>", `some of ${scopes.join(",")}; admin includes the others`).argParser(parseScopes))
    .addHelpText(
      "after",
      `
Examples:
  weir keys create --tenant shop --scopes write,read
  export WEIR_KEY=$(weir keys create --json | jq -r .key)
${exitCodesHelp}`,
    )
    .action(create);
  withDataOptions(keys.command("list").description("Keys without their secrets"))
    .option("--tenant <tenant>", "only this tenant's")
    .action(list);
  withDataOptions(keys.command("revoke").description("Make a key worthless, within a second also on open connections"))
    .argument("<keyId>", "as `weir keys list` shows it, or the key itself")
    .action(revoke);
}

function withDataOptions(command: Command): Command {
  return command
    .option("--data <folder>", "the data directory (default: ./data; environment: WEIR_DATA)")
    .option("--json", "print JSON");
}

async function create(flags: KeyFlags & { tenant: string; scopes?: readonly Scope[] }): Promise<void> {
  const { tenant } = flags;
  if (!isTenantId(tenant)) throw new UsageError("a tenant is 1-64 of a-z, 0-9 and -, and does not start with -");
  await withControl(flags, async (control) => {
    const made = await control.createKey(tenant, flags.scopes ?? ["write", "read"], Date.now());
    const { key, keyId, scopes: granted } = made;
    if (flags.json === true) printJson({ key, keyId, tenant, scopes: granted });
    else
      printLine(`${key}\n\nkey id ${keyId}, tenant ${tenant}, scopes ${granted.join(", ")}. The key is not stored: keep it now.`);
  });
}

async function list(flags: KeyFlags & { tenant?: string }): Promise<void> {
  await withControl(flags, (control) => {
    const tenants = control.tenants().filter((tenant) => flags.tenant === undefined || tenant === flags.tenant);
    const keys = tenants.flatMap((tenant) => control.listKeys(tenant));
    if (flags.json === true) {
      printJson({ keys });
      return;
    }
    const rows = keys.map(({ keyId, tenant, scopes: granted, createdMs }) => ({
      "key id": keyId,
      tenant,
      scopes: granted.join(" "),
      created: new Date(createdMs).toISOString(),
    }));
    printLine(rows.length === 0 ? "no keys" : formatTable(rows));
  });
}

async function revoke(keyIdOrKey: string, flags: KeyFlags): Promise<void> {
  await withControl(flags, async (control) => {
    const keyId = control.verifyKey(keyIdOrKey)?.keyId ?? keyIdOrKey;
    if (!(await control.revokeKey(keyId))) throw new WeirError("WEIR_AUTH_KEY_UNKNOWN");
    if (flags.json === true) printJson({ revoked: keyId });
    else printLine(`revoked ${keyId}`);
  });
}

async function withControl({ data }: KeyFlags, action: (control: KeyStore) => Promise<void> | void): Promise<void> {
  const control = openKeyStore(parseConfig({ flags: { data }, env: process.env }), Date.now());
  try {
    await action(control);
  } finally {
    await control.close();
  }
}

function parseScopes(text: string): readonly Scope[] {
  return commaList(text).map((name) => {
    const scope = scopes.find((each) => each === name);
    if (scope === undefined) throw new UsageError(`--scopes takes some of ${scopes.join(",")}`);
    return scope;
  });
}
