/** The Leptos example drawn by its own server, which has the token endpoint, too: no request and no page makes it panic. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { freePorts } from "./support/loopback.mjs";
import { required } from "./support/required.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";

const LIMIT = { timeout: 180_000 };
const REQUESTS = 1_000;
const AT_ONCE = 20;

let stack;
let browser;
let server;
let origin;
let folder;
let log = "";

before(async () => {
  const [port] = await freePorts(1);
  origin = `http://127.0.0.1:${port}`;
  folder = await mkdtemp(path.join(tmpdir(), "behest-ssr-"));
  const data = path.join(folder, "data.sqlite");
  stack = await startStack({ packageFolder: wwwFolder, more: ["--data", data, "--allow-origin", origin] });
  const key = execFileSync(required("BEHEST_LOCAL", "behest-local"), ["keys", "--data", data, "--add"], { encoding: "utf8" });
  server = spawn(required("RUST_SSR", "the server of the Leptos example"), [], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      LISTEN: `127.0.0.1:${port}`,
      PAGES: required("RUST_PAGES", "the built pages"),
      SUPABASE_URL: stack.supabase,
      SUPABASE_PUBLISHABLE_KEY: stack.publishableKey,
      BEHEST_KEY: /^BEHEST_KEY=(\S+)$/m.exec(key)[1],
      BEHEST_BASE_URL: stack.gateway,
      CORS_ORIGIN: origin,
    },
  });
  server.stderr.setEncoding("utf8").on("data", (text) => (log = (log + text).slice(-20_000)));
  const ended = once(server, "exit").then(() => Promise.reject(new Error(`the server ended: ${log}`)));
  await Promise.race([once(createInterface({ input: server.stdout }), "line"), ended]);
  ended.catch(() => {});
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.kill();
  await stack?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

test(`${REQUESTS} requests are drawn alike, and none panics`, LIMIT, async () => {
  const drawn = new Set();
  for (let done = 0; done < REQUESTS; done += AT_ONCE) {
    const replies = Array.from({ length: AT_ONCE }, async (_, index) => {
      const reply = await fetch(`${origin}/${index % 2 ? `any/path?${done}` : ""}`);
      assert.equal(reply.status, 200);
      // Leptos gives each page a nonce of its own.
      drawn.add((await reply.text()).replaceAll(/nonce="[\w-]{22}"/g, "nonce"));
    });
    await Promise.all(replies);
  }
  assert.equal(drawn.size, 1, "nothing of one request is in another one's page");
  const [page] = drawn;
  assert.match(page, /<form>.*Email.*Sign in/s);
  assert.ok(page.includes(`data-token-url="${origin}/behest-token"`));
  assert.equal(log, "");
});

test("a page takes over what was drawn, signs in, streams, and does so again for who is signed in already", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  await page.goto(origin);
  const ask = async (question) => {
    await page.getByLabel("Your question").fill(question);
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByRole("status").filter({ hasText: "complete" }).waitFor();
    assert.ok((await page.locator("[data-role=assistant]").last().innerText()).length > 10);
  };
  // The button is the browser's own, and dead, until the page has taken over.
  await page.locator("form button:enabled").waitFor();
  await page.getByLabel("Email").fill(stack.demoUser.email);
  await page.getByLabel("Password").fill(stack.demoUser.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Your question").waitFor();
  await ask("What is a token?");
  await page.reload();
  await page.getByLabel("Your question").waitFor();
  await ask("And again?");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Email").waitFor();
  assert.deepEqual(complaints, []);
  assert.equal(log, "");
  await context.close();
});
