/** A TCP port of the loopback interface that nobody listens on. */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { WeirError } from "../../protocol/error-codes.ts";

/** The port itself when it is free, a free one for 0. Rejects with WEIR_START_PORT_IN_USE. */
export async function claimPort(port: number): Promise<number> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    throw new WeirError("WEIR_START_PORT_IN_USE", `QuestDB needs port ${port} of 127.0.0.1.`, { cause: error });
  }
  const { port: claimed } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return claimed;
}
