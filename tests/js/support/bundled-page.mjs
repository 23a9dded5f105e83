import { readFile } from "node:fs/promises";
import path from "node:path";

import { build } from "esbuild";

import { openPage } from "./browser.mjs";

/** A secure context without a server: everything below it is answered here. */
const ORIGIN = "http://localhost:1";

/**
 * A page with this module as a bundler makes it from the installed package: `alias` names other versions of packages.
 * What the module exports is `globalThis.app`. The `.wasm` file lies where the bundle looks for it.
 */
export async function openBundle(browser, { packageFolder }, file, { alias = {}, headers = {}, nodePaths = [] } = {}) {
  const here = path.resolve(import.meta.dirname, "..");
  const entries = ["chat", "react", "ai-sdk", "testing"].map((name) => [`behest-client/${name}`, path.join(packageFolder, `${name}.js`)]);
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
    "/": ["text/html", '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/app.js"></script>'],
    "/app.js": ["text/javascript", outputFiles[0].text],
    "/dist/behest.wasm": ["application/wasm", await readFile(path.join(packageFolder, "dist/behest.wasm"))],
  };
  await page.route(`${ORIGIN}/**`, (route) => {
    const [contentType, body] = files[new URL(route.request().url()).pathname] ?? [];
    return body ? route.fulfill({ contentType, body, headers }) : route.fulfill({ status: 404, body: "" });
  });
  await page.goto(ORIGIN);
  await page.waitForFunction(() => globalThis.app !== undefined);
  return opened;
}
