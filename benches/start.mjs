/**
 * Cold start in headless Chromium with a CPU four times slower: from the navigation to the moment the chat request leaves,
 * on this machine's own network and on a slow one, with caches cold and warm.
 */
import { launch } from "../tests/js/support/browser.mjs";
import { bundle } from "./lib/bundle.mjs";
import { cut, streamOf } from "./lib/chat.mjs";
import { supabaseSession, tokenBundle } from "./lib/memory-server.mjs";
import { medians } from "./lib/rounds.mjs";
import { serve } from "./lib/serve.mjs";
import { progress, QUICK, report, withPackage } from "./lib/setting.mjs";

const ROUNDS = QUICK ? 5 : 15;
/** Visits after which the browser's caches hold what they will hold, compiled code included. */
const WARMING = 4;
const CPU_RATE = 4;
const KILOBIT = 1000 / 8;
const NETWORKS = {
  local: null,
  slow: { offline: false, latency: 150, downloadThroughput: 1600 * KILOBIT, uploadThroughput: 750 * KILOBIT },
};
const LIMIT_MS = 60_000;

// Each asks as soon as it can, as a page does whose user had typed before it was ready.
const PAGES = {
  "with supabase-js": `
    import { createClient as createBehest } from "behest-client";
    import { createClient } from "@supabase/supabase-js";
    const { supabaseUrl, publishableKey, behestUrl } = globalThis.settings;
    const behest = createBehest({ supabase: createClient(supabaseUrl, publishableKey), supabaseUrl, behestUrl });
    const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
    for await (const text of stream.text()) document.body.append(text);
  `,
  without: `
    import { createClient } from "behest-client";
    const { supabaseUrl, behestUrl, storageKey } = globalThis.settings;
    const getAccessToken = () => JSON.parse(localStorage.getItem(storageKey)).access_token;
    const behest = createClient({ supabaseUrl, behestUrl, getAccessToken });
    const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
    for await (const text of stream.text()) document.body.append(text);
  `,
  snippet: `
    import { chatWith } from "./peers/snippet.mjs";
    const { ask } = chatWith(globalThis.settings);
    for await (const text of ask([{ role: "user", content: "Hi!" }])) document.body.append(text);
  `,
};
const SUBJECTS = Object.keys(PAGES);

await withPackage(async (installed) => {
  const supabase = await serve(answer((response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(tokenBundle()));
  }));
  const gateway = await serve(answer((response) => {
    response.setHeader("content-type", "text/event-stream");
    for (const chunk of cut(streamOf(10).events, null)) response.write(chunk);
    response.end();
  }));
  const site = await serve();
  const settings = {
    supabaseUrl: supabase.origin,
    behestUrl: gateway.origin,
    publishableKey: "sb_publishable_bench",
    // As supabase-js names it: by the first label of the project's host.
    storageKey: `sb-${new URL(supabase.origin).hostname.split(".")[0]}-auth-token`,
  };
  const addresses = new Map();
  for (const [name, contents] of Object.entries(PAGES)) {
    const folder = `/${name.replaceAll(" ", "-")}`;
    const script = site.addScript(`${folder}/page.js`, await bundle(contents, installed), installed);
    site.add(`${folder}/`, "text/html", html(settings, script));
    addresses.set(name, `${site.origin}${folder}/`);
  }
  const browser = await launch();
  try {
    for (const [network, conditions] of Object.entries(NETWORKS)) {
      const open = (name, context) => timeToChat(context, addresses.get(name), conditions);
      const fresh = () => signedIn(browser, settings);
      progress(`${network} network, cold caches`);
      tell(
        `${network}, cold`,
        await medians(SUBJECTS, ROUNDS, async (name) => {
          const context = await fresh();
          const time = await open(name, context);
          await context.close();
          return time;
        }, 1),
      );
      progress(`${network} network, warm caches`);
      const contexts = new Map();
      for (const name of SUBJECTS) contexts.set(name, await fresh());
      tell(`${network}, warm`, await medians(SUBJECTS, ROUNDS, (name) => open(name, contexts.get(name)), WARMING));
      for (const context of contexts.values()) await context.close();
    }
  } finally {
    await browser.close();
    for (const server of [supabase, gateway, site]) await server.stop();
  }
});

function tell(case_, times) {
  for (const name of SUBJECTS.filter((name) => name !== "snippet")) {
    report({ figure: `start ${name}`, case: case_, where: "chromium", unit: "ms", ours: times[name], peer: "snippet", theirs: times.snippet });
  }
}

/** A browser profile of its own, in which a user has signed in before. */
async function signedIn(browser, { storageKey }) {
  const context = await browser.newContext();
  await context.addInitScript(([key, session]) => localStorage.setItem(key, session), [storageKey, JSON.stringify(supabaseSession())]);
  return context;
}

/** Opens a page; milliseconds from its navigation to its chat request, by Chromium's own clock. */
async function timeToChat(context, url, conditions) {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  let failed;
  page.on("pageerror", (error) => (failed = error));
  await session.send("Network.enable");
  await session.send("Emulation.setCPUThrottlingRate", { rate: CPU_RATE });
  if (conditions) await session.send("Network.emulateNetworkConditions", conditions);
  let began;
  const left = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(failed ?? new Error(`${url} did not ask within a minute`)), LIMIT_MS);
    session.on("Network.requestWillBeSent", ({ request, timestamp }) => {
      if (request.url === url) began = timestamp;
      if (request.method !== "POST" || !request.url.endsWith("/chat/completions")) return;
      clearTimeout(timer);
      resolve((timestamp - began) * 1000);
    });
  });
  left.catch(() => {});
  await page.goto(url);
  const time = await left;
  // The answer is read too, so that the caches hold a page that has done all it does.
  await page.waitForFunction(() => document.body.textContent.includes("fox"));
  await page.close();
  return time;
}

function html(settings, script) {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Chat</title>
<script>globalThis.settings = ${JSON.stringify(settings)};</script>
<script type="module" src="${script}"></script></head><body></body></html>`;
}

/** A server of another origin, as in production: preflights are answered, and remembered by the browser for a day. */
function answer(reply) {
  return (request, response) => {
    response.setHeader("access-control-allow-origin", "*");
    if (request.method === "OPTIONS") {
      response.setHeader("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "");
      response.writeHead(204, { "access-control-allow-methods": "POST", "access-control-max-age": "86400" }).end();
    } else {
      request.resume().on("end", () => reply(response));
    }
    return true;
  };
}
