/** What a program that hashes session ids (`wasm/session-hash.ts`) is told of the tenant whose ids they are. */
export interface SessionProgram {
  readonly tenant: { readonly value: number };
  readonly tenantBytesMax: { readonly value: number };
  setTenant(bytes: number): void;
}

const encoder = new TextEncoder();

/** Writes the tenant into the program's memory, of which `memory` is a view; false: its name is too long. */
export function setTenantOf(program: SessionProgram, memory: Uint8Array, tenant: string): boolean {
  const key = encoder.encode(`${tenant}\0`);
  if (key.length > program.tenantBytesMax.value) return false;
  memory.set(key, program.tenant.value);
  program.setTenant(key.length);
  return true;
}
