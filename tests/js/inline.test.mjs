/** The entry with the module inside the script, under policies that let the page fetch nothing. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./support/browser.mjs";
import { openBundle } from "./support/bundled-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";

let installed;
let browser;

before(async () => {
  installed = await installPackage();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await installed?.remove();
});

/** Asks in a page with this `script-src`, and no other source of anything. */
async function ask(scripts) {
  const headers = { "content-security-policy": `default-src 'none'; script-src ${scripts}` };
  const opened = await openBundle(browser, installed, "inline.js", { headers });
  try {
    const told = await opened.page.evaluate(async () => {
      const { fetch, getAccessToken } = new app.World();
      const urls = { supabaseUrl: "https://project.example", behestUrl: "https://gateway.example" };
      const behest = app.createClient({ ...urls, fetch, getAccessToken });
      const [first] = await Promise.allSettled([behest.ask("Hi!")]);
      return first.value ?? [first.reason.reason, first.reason.action, first.reason.hint];
    });
    return { told, paths: opened.requests.map((request) => new URL(request.url()).pathname) };
  } finally {
    await opened.close();
  }
}

test("with 'wasm-unsafe-eval' it needs no connect-src: nothing but the page and its script is fetched", LIMIT, async () => {
  const { told, paths } = await ask("'self' 'wasm-unsafe-eval'");
  assert.equal(told, "Hello");
  assert.deepEqual(paths, ["/", "/app.js"]);
});

test("without it the error names what to add", LIMIT, async () => {
  const { told } = await ask("'self'");
  const hint = "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy.";
  assert.deepEqual(told, ["wasm_load_failed", "fix_config", hint]);
});
