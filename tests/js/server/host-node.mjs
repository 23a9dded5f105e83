import { createServer } from "node:http";
import { Readable } from "node:stream";

import { app } from "./app.mjs";

const handle = app(JSON.parse(process.env.SETTINGS));

const server = createServer(async (incoming, outgoing) => {
  const headers = new Headers();
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) headers.append(incoming.rawHeaders[i], incoming.rawHeaders[i + 1]);
  const body = ["GET", "HEAD"].includes(incoming.method) ? null : Readable.toWeb(incoming);
  const request = new Request(`http://host${incoming.url}`, { method: incoming.method, headers, body, duplex: "half" });
  const response = await handle(request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(Buffer.from(await response.arrayBuffer()));
});
server.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
