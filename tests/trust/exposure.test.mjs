/** The pages that are served here, in Chromium: what may run in them, and where a secret could be found. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { openPage } from "../js/support/browser.mjs";
import { ask, signIn, storedSession } from "../js/support/demo-page.mjs";
import { LIMIT } from "../js/support/limits.mjs";
import { browser, installed, stack } from "../js/support/setting.mjs";

/** A page's policy, whether it comes with the page or stands in it, by directive. */
async function policyOf(url) {
  const reply = await fetch(url);
  const text = await reply.text();
  const [, inPage] = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(text) ?? [];
  const header = reply.headers.get("content-security-policy");
  const policy = header ?? inPage ?? "";
  return { isHeader: header !== null, reply, text, ...Object.fromEntries(policy.split(";").map((part) => part.trim().split(/\s+/)).map(([name, ...values]) => [name, values])) };
}

/** Every page of this origin that links lead to, and those that only an address leads to. */
async function allPages() {
  const found = new Set([stack.page, stack.dashboard]);
  for (const url of found) {
    const { reply, text } = await policyOf(url);
    assert.match(reply.headers.get("content-type"), /^text\/html/, url);
    for (const [, link] of text.matchAll(/<a\b[^>]*href="([^"#]+)/g)) {
      const target = new URL(link.replaceAll("&amp;", "&"), url);
      const isOurs = target.origin === new URL(url).origin && /^\/dashboard(\/[\w-]+)*$/.test(target.pathname);
      if (isOurs) found.add(target.origin + target.pathname);
    }
  }
  const back = encodeURIComponent(stack.page);
  found.add(`${stack.supabase}/auth/v1/authorize?provider=github&redirect_to=${back}`);
  return [...found];
}

test("every page that is served has a strict policy with Trusted Types, and lives with it", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  await signIn(page, stack, { email: "policy@example.com", password: "correct horse" }, { creating: true });
  await ask(page, "Is there a request to look at?");
  const pages = await allPages();
  assert.ok(pages.length > 6, `${pages}`);
  for (const url of pages) {
    const policy = await policyOf(url);
    assert.deepEqual(policy["default-src"], ["'none'"], url);
    assert.deepEqual(policy["base-uri"], ["'none'"], url);
    assert.deepEqual(policy["require-trusted-types-for"], ["'script'"], url);
    if (policy.isHeader) assert.deepEqual(policy["frame-ancestors"], ["'none'"], url);
    assert.ok(policy["form-action"], url);
    const sources = ["script-src", "style-src", "img-src", "connect-src", "form-action"].flatMap((name) => policy[name] ?? []);
    assert.deepEqual(sources.filter((source) => /^'unsafe-|^\*/.test(source)), [], url);
    await page.goto(url);
    const ran = await page.evaluate(async () => {
      // What DevTools evaluates at once may evaluate.
      await new Promise((resolve) => setTimeout(resolve));
      const attempts = {
        inline: () => document.head.append(Object.assign(document.createElement("script"), { textContent: "globalThis.ran = 1" })),
        html: () => (document.body.innerHTML = "<img src=x onerror='globalThis.ran = 1'>"),
        eval: () => (0, eval)("globalThis.ran = 1"),
        handler: () => document.body.setAttribute("onclick", "globalThis.ran = 1"),
        policy: () => trustedTypes.createPolicy("mine", { createHTML: (text) => text }),
      };
      return Object.keys(attempts).filter((name) => {
        try {
          attempts[name]();
          return name !== "inline" && name !== "handler";
        } catch {
          return false;
        }
      });
    });
    await page.evaluate(() => document.body.click());
    assert.deepEqual(ran, [], url);
    assert.equal(await page.evaluate(() => globalThis.ran), undefined, url);
  }
  // What was tried is complained about, and nothing else: not what the pages do by themselves.
  const own = complaints.filter((line) => !/Trusted|trusted|inline|eval|Refused to create/.test(line));
  assert.deepEqual(own, []);
  await context.close();
});

test("the way through the provider's page leads back to the page that asked", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  await page.goto(`${stack.supabase}/auth/v1/authorize?provider=github&redirect_to=${encodeURIComponent(stack.page)}`);
  const shown = await page.evaluate(() => getComputedStyle(document.querySelector("main")).maxWidth);
  assert.notEqual(shown, "none", "its style counts");
  await page.getByLabel("E-mail").fill("someone@example.com");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL((url) => url.href.startsWith(stack.page));
  assert.deepEqual(complaints, []);
  await context.close();
});

/** Runs in the page: every text that can be reached from what a script has a name for. */
async function reachable(modules) {
  const seen = new Set();
  const texts = [];
  const left = [globalThis, ...(await Promise.all(modules.map((url) => import(url))))];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value === "string") texts.push(value);
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) continue;
    seen.add(value);
    if (value instanceof Map || value instanceof Set) left.push(...[...value].flat());
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      texts.push(new TextDecoder().decode(value));
      continue;
    }
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key === "string") texts.push(key);
      try {
        left.push(value[key]);
      } catch {
        // A getter that is for others.
      }
    }
    left.push(Object.getPrototypeOf(value));
  }
  return { texts: texts.join("\n"), objects: seen.size };
}

test("no secret of the demo page is in its document, log, storage, objects or heap, nor sent to anybody else", LIMIT, async () => {
  const { page, context, requests, complaints } = await openPage(browser);
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  const devtools = await context.newCDPSession(page);
  const tokens = new Set();
  page.on("requestfinished", async (request) => {
    const bearer = (await request.allHeaders()).authorization?.replace(/^Bearer /, "");
    if (bearer && request.url().startsWith(stack.gateway)) tokens.add(bearer);
  });
  await signIn(page, stack, { email: "secrets@example.com", password: "correct horse battery" }, { creating: true });
  await ask(page, "What is a secret?");
  await ask(page, "Tell me everything about patience.", { stopAtOnce: true });
  const session = await storedSession(page);
  const gatewayTokens = [...tokens];
  assert.equal(gatewayTokens.length, 1, "a token was in use");
  const secrets = { token: gatewayTokens[0], session: session.accessToken, refresh: session.refreshToken, password: "correct horse battery" };
  for (const secret of Object.values(secrets)) assert.ok(secret.length > 10);
  const without = (where, text, names) => {
    for (const name of names) assert.ok(!text.includes(secrets[name]), `the ${name} is in ${where}`);
  };
  const all = Object.keys(secrets);

  const document = await page.evaluate(() => [document.documentElement.outerHTML, ...[...document.querySelectorAll("input, textarea")].map(({ value }) => value)].join("\n"));
  without("the document", document, all);
  without("the log", [...said, ...complaints].join("\n"), all);
  const stores = await page.evaluate(async () => JSON.stringify([{ ...localStorage }, document.cookie, history.state, location.href, await caches.keys(), await indexedDB.databases(), performance.getEntries().map(({ name }) => name)]));
  without("a storage", stores, all);
  without("a storage", await page.evaluate(() => JSON.stringify({ ...sessionStorage })), ["token", "password"]);

  const folder = path.join(installed.packageFolder, "lib");
  const files = (await readdir(folder)).filter((name) => name.endsWith(".js"));
  const modules = ["/pkg/index.js", "/pkg/chat.js", "/pkg/dist/glue.js", ...files.map((name) => `/pkg/lib/${name}`), "/app.js"];
  // The page's session store is the page's own; the gateway's token is nobody's but the module's.
  const { texts, objects } = await page.evaluate(reachable, modules);
  assert.ok(objects > 1000, `${objects} objects`);
  without("an object", texts, ["token", "password"]);

  // What no name leads to: after a collection, the heap of JavaScript itself.
  await devtools.send("HeapProfiler.enable");
  await devtools.send("HeapProfiler.collectGarbage");
  let snapshot = "";
  devtools.on("HeapProfiler.addHeapSnapshotChunk", ({ chunk }) => (snapshot += chunk));
  await devtools.send("HeapProfiler.takeHeapSnapshot", { reportProgress: false });
  assert.ok(snapshot.includes(secrets.session), "what the page holds is found in it");
  without("the heap", snapshot, ["token", "password"]);

  // By server: what may be sent there, and in which header.
  const origin = (url) => new URL(url).origin;
  for (const request of requests) {
    const headers = Object.entries(await request.allHeaders());
    const to = origin(request.url());
    without(`the address ${request.url()}`, request.url(), all);
    for (const [name, value] of headers) {
      const allowed = name === "authorization" ? (to === origin(stack.gateway) ? "token" : to === origin(stack.supabase) ? "session" : undefined) : undefined;
      without(`the header ${name} to ${to}`, value, all.filter((secret) => secret !== allowed));
    }
    const isAuth = request.url().startsWith(`${stack.supabase}/auth/v1/`);
    without(`a body to ${request.url()}`, request.postData() ?? "", isAuth ? ["token"] : all);
  }
  const known = new Set([stack.page, stack.supabase, stack.gateway].map(origin));
  assert.deepEqual(requests.map((request) => origin(request.url())).filter((to) => !known.has(to)), []);
  await context.close();
});
