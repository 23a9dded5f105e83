import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

import { build } from "esbuild";

import { openPage } from "./browser.mjs";
import { listen } from "./loopback.mjs";

/**
 * A page with this module as a bundler makes it from the installed package: `alias` names other versions of packages.
 * The module sets `globalThis.app`. The `.wasm` file lies where the bundle looks for it. `close` ends page and server.
 */
export async function openBundle(browser, { packageFolder }, file, { alias = {}, headers = {}, nodePaths = [] } = {}) {
  const here = path.resolve(import.meta.dirname, "..");
  const entries = ["inline", "chat", "react", "ai-sdk", "testing"].map((name) => [
    `behest-client/${name}`,
    path.join(packageFolder, `${name}.js`),
  ]);
  const { outputFiles } = await build({
    entryPoints: [path.join(here, "pages", file)],
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"development"' },
    alias: { ...Object.fromEntries(entries), "behest-client": path.join(packageFolder, "index.js"), ...alias },
    nodePaths: [...nodePaths, path.join(here, "node_modules")],
    write: false,
  });
  const opened = await openPage(browser);
  const { page } = opened;
  const files = {
    "/": [
      "text/html",
      '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/app.js"></script>',
    ],
    "/app.js": ["text/javascript", outputFiles[0].text],
    "/dist/behest.wasm": ["application/wasm", await readFile(path.join(packageFolder, "dist/behest.wasm"))],
  };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? [];
    response.writeHead(body ? 200 : 404, { "content-type": type ?? "text/plain", ...headers }).end(body);
  });
  const { url: origin, stop } = await listen(server);
  await page.goto(origin);
  await page.waitForFunction(() => globalThis.app !== undefined);
  const close = async () => {
    await opened.context.close();
    await stop();
  };
  return { ...opened, origin, close };
}
