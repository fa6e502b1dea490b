/**
 * A WebSocket server that sends back what it gets, on uWS with the settings of our gateway: what is found out about it holds for
 * the gateway's sockets. `websocket-conformance.test.ts` runs its cases against it. Run as a program (`node
 * dist/test/fuzz/echo-server.js 9001`) it prints its address, for the Autobahn suite: `wstest -m fuzzingclient`. That one needs
 * Python 2.7 and is no part of the tests. Its version 0.8.2, all cases but compression (12, 13): of 301, 283 are OK, 3 informational,
 * 11 "non-strict" (3.2, 3.3, 4.1.3, 4.1.4, 4.2.3, 4.2.4, 5.15: an echo is lost when the connection is failed in the same segment;
 * 6.4.1 - 6.4.4: UTF-8 is checked when a text is whole), and 4 fail (9.1.5, 9.1.6, 9.2.5, 9.2.6: messages above our limit); with
 * a limit of 32 MiB (`echo-server.js 9001 33554432`) all 54 cases of section 9 are OK.
 */
import { fileURLToPath } from "node:url";
import uWS from "uWebSockets.js";
import { limits } from "../../protocol/limits.ts";
import { socketSettings } from "../../server/socket-settings.ts";

export interface EchoServer {
  readonly port: number;
  close(): void;
}

export function startEchoServer(port = 0, frameBytesMax: number = limits.frameBytesMax): Promise<EchoServer> {
  const app = uWS.App().ws("/*", {
    ...socketSettings({ ...limits, frameBytesMax }),
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
  const [listenOn = 0, bytesMax = limits.frameBytesMax] = process.argv.slice(2).map(Number);
  const { port } = await startEchoServer(listenOn, bytesMax);
  console.log(`ws://127.0.0.1:${port}`);
}
