/** Servers of this machine alone. */
import { once } from "node:events";
import { createServer } from "node:net";

/** Has a server of `node:http` or `node:net` listen on a port that nobody uses. `stop` ends its connections, too. */
export async function listen(server, port = 0) {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async stop() {
      server.close();
      server.closeAllConnections?.();
      await once(server, "close");
    },
  };
}

/** Ports that nobody uses just now. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const listening = await Promise.all(servers.map((server) => listen(server)));
  await Promise.all(listening.map(({ stop }) => stop()));
  return listening.map(({ url }) => Number(new URL(url).port));
}
