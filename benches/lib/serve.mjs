/** A small HTTP server on loopback that serves files as a CDN does: compressed by brotli, and cached for ever. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import { brotliCompressSync } from "node:zlib";

import { listen } from "../../tests/js/support/loopback.mjs";
import { DIRECT } from "./link.mjs";

/** `handle(request, response)` answers what is no file; it says whether it did. `link` is the line to whoever asks. */
export async function serve(handle = () => false, link = DIRECT) {
  const files = new Map();
  const server = createServer(async (request, response) => {
    await link.arrive();
    const file = files.get(request.url);
    if (file) {
      response.writeHead(200, file.headers);
      await link.send(response, file.body);
    } else if (!handle(request, response)) {
      response.writeHead(404).end();
    }
  });
  const { url: origin, stop } = await listen(server);

  const add = (url, type, content) => {
    const cached = type === "text/html" ? "no-cache" : "public, max-age=31536000, immutable";
    const headers = { "content-type": type, "content-encoding": "br", "cache-control": cached, vary: "accept-encoding" };
    files.set(url, { headers, body: brotliCompressSync(content) });
    return url;
  };

  return {
    origin,
    stop,
    add,
    /** A bundle, and beside it the modules that its `new URL("…", import.meta.url)` name. */
    addScript(url, script, { packageFolder }) {
      for (const name of readdirSync(packageFolder, { recursive: true }).filter((name) => name.endsWith(".wasm"))) {
        add(path.posix.join(path.posix.dirname(url), name), "application/wasm", readFileSync(path.join(packageFolder, name)));
      }
      return add(url, "text/javascript", script);
    },
  };
}
