/**
 * A WebSocket server that sends back what it gets, on uWS with the settings of our gateway: what is found out about it holds for
 * the gateway's sockets. `websocket-conformance.test.ts` runs its cases against it; run as a program it prints its port, for the
 * Autobahn suite (docs/operations.md says nothing of it: it never runs in production).
 */
import { fileURLToPath } from "node:url";
import uWS from "uWebSockets.js";
import { limits } from "../../protocol/limits.ts";
import { socketSettings } from "../../server/socket-settings.ts";

export interface EchoServer {
  readonly port: number;
  close(): void;
}

export function startEchoServer(port = 0): Promise<EchoServer> {
  const app = uWS.App().ws("/*", {
    ...socketSettings(limits),
    message: (socket, message, isBinary) => void socket.send(message, isBinary),
  });
  return new Promise((resolve, reject) => {
    app.listen("127.0.0.1", port, (listening) => {
      if (listening === false) reject(new Error(`port ${port} cannot be listened on`));
      else resolve({ port: uWS.us_socket_local_port(listening), close: () => app.close() });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { port } = await startEchoServer(Number(process.argv[2] ?? 0));
  console.log(`ws://127.0.0.1:${port}`);
}
