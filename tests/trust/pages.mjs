/** A server of pages that have the package: each at a path that ends in a slash, so that a worker can have a scope of its own. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

import { listen } from "../js/support/loopback.mjs";

const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** `/pkg/` is the package, `/trust/` this folder; `more` may answer anything else: `(url) => [type, body]`. */
export async function servePages(packageFolder, more = () => undefined) {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://page");
    const { pathname } = url;
    // Whoever is offline is not to get through: on a connection from before, or with what was kept.
    response.setHeader("cache-control", "no-store");
    response.setHeader("connection", "close");
    const made = more(url) ?? (pathname.endsWith("/") ? ["text/html", '<!doctype html><link rel="icon" href="data:,">'] : undefined);
    if (made) return response.setHeader("content-type", made[0]).end(made[1]);
    const [, folder, name] = /^\/(pkg|trust)\/(.+)$/.exec(pathname) ?? [];
    const file = path.join(folder === "pkg" ? packageFolder : import.meta.dirname, name ?? "none");
    const body = await readFile(file).catch(() => undefined);
    response.writeHead(body ? 200 : 404, { "content-type": TYPES[path.extname(file)] ?? "text/plain" }).end(body);
  });
  const { url: origin, stop } = await listen(server);
  return { origin, stop };
}
