/**
 * Cold start in headless Chromium with a CPU four times slower: from the navigation to the moment the chat request leaves, by
 * the page's own clock, on this machine's own network and on a slow one, with caches cold and warm.
 */
import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { launchPlain } from "../tests/js/support/devtools.mjs";
import { bundle } from "./lib/bundle.mjs";
import { cut, streamOf } from "./lib/chat.mjs";
import { DIRECT, slowLink } from "./lib/link.mjs";
import { supabaseSession, tokenBundle } from "./lib/memory-server.mjs";
import { medians } from "./lib/rounds.mjs";
import { serve } from "./lib/serve.mjs";
import { progress, QUICK, report, withPackage } from "./lib/setting.mjs";

const ROUNDS = QUICK ? 5 : 15;
/** Visits after which the browser's caches hold what they will hold. */
const WARMING = 4;
const CPU_RATE = 4;
const NETWORKS = {
  local: DIRECT,
  slow: slowLink({ latencyMs: 150, bitsPerSecond: 1_600_000 }),
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
  // What nobody can be faster than: two requests, and not one check.
  "no library": `
    const { supabaseUrl, behestUrl, storageKey } = globalThis.settings;
    const post = (url, token, headers, body) =>
      fetch(url, { method: "POST", headers: { authorization: "Bearer " + token, ...headers }, body });
    const session = JSON.parse(localStorage.getItem(storageKey));
    const { token, sessionId } = await (await post(supabaseUrl + "/functions/v1/behest-token", session.access_token)).json();
    const headers = { "content-type": "application/json", "x-session-id": sessionId };
    const body = JSON.stringify({ model: "default", messages: [{ role: "user", content: "Hi!" }], stream: true });
    document.body.append(await (await post(behestUrl + "/v1/chat/completions", token, headers, body)).text());
  `,
  snippet: `
    import { chatWith } from "./peers/snippet.mjs";
    const { ask } = chatWith(globalThis.settings);
    for await (const text of ask([{ role: "user", content: "Hi!" }])) document.body.append(text);
  `,
};
const SUBJECTS = Object.keys(PAGES);

await withPackage(async (installed) => {
  const scripts = new Map();
  for (const [name, contents] of Object.entries(PAGES)) scripts.set(name, await bundle(contents, installed));
  const browser = await launchPlain();
  try {
    for (const [network, link] of Object.entries(NETWORKS)) await measure(network, link, browser, scripts, installed);
  } finally {
    await browser.close();
  }
});

async function measure(network, link, browser, scripts, installed) {
  const supabase = await serve(answer((response) => {
    response.setHeader("content-type", "application/json").end(JSON.stringify(tokenBundle()));
  }), link);
  const chats = new EventEmitter();
  const gateway = await serve(answer((response) => {
    chats.emit("asked");
    response.setHeader("content-type", "text/event-stream");
    for (const chunk of cut(streamOf(10).events, null)) response.write(chunk);
    response.end();
  }), link);
  const site = await serve(undefined, link);
  const settings = {
    supabaseUrl: supabase.origin,
    behestUrl: gateway.origin,
    publishableKey: "sb_publishable_bench",
    // As supabase-js names it: by the first label of the project's host.
    storageKey: `sb-${new URL(supabase.origin).hostname.split(".")[0]}-auth-token`,
  };
  const folderOf = (name) => `/${name.replaceAll(" ", "-")}`;
  const open = (name, profile) => timeToChat(profile, `${site.origin}${folderOf(name)}/`, settings, chats);
  for (const [name, contents] of scripts) {
    const folder = folderOf(name);
    const script = site.addScript(`${folder}/page.js`, contents, installed);
    site.add(`${folder}/`, "text/html", html(settings, script));
  }
  try {
    progress(`${network} network, cold caches`);
    const cold = await medians(SUBJECTS, ROUNDS, async (name) => {
      const profile = await browser.newProfile();
      const time = await open(name, profile);
      await profile.close();
      return time;
    }, 1);
    tell(`${network}, cold`, cold);

    progress(`${network} network, warm caches`);
    const profiles = new Map();
    for (const name of SUBJECTS) profiles.set(name, await browser.newProfile());
    tell(`${network}, warm`, await medians(SUBJECTS, ROUNDS, (name) => open(name, profiles.get(name)), WARMING));
    for (const profile of profiles.values()) await profile.close();
  } finally {
    for (const server of [supabase, gateway, site]) await server.stop();
  }
}

function tell(case_, times) {
  for (const name of SUBJECTS.filter((name) => name.startsWith("with"))) {
    report({ figure: `start ${name}`, case: case_, where: "chromium", unit: "ms", ours: times[name], peer: "snippet", theirs: times.snippet });
  }
  progress(`${case_}: ${SUBJECTS.map((name) => `${name} ${Math.round(times[name])} ms`).join(", ")}`);
}

/** Opens a page where somebody has signed in before; milliseconds from its navigation to its chat request. */
async function timeToChat(profile, url, { storageKey }, chats) {
  const page = await profile.open();
  const signIn = `localStorage.setItem(${JSON.stringify(storageKey)}, ${JSON.stringify(JSON.stringify(supabaseSession()))})`;
  await page.send("Page.addScriptToEvaluateOnNewDocument", { source: signIn });
  await page.send("Emulation.setCPUThrottlingRate", { rate: CPU_RATE });
  // Until it has asked, nobody looks: that would be work on the page's own thread.
  const asked = once(chats, "asked", { signal: AbortSignal.timeout(LIMIT_MS) });
  await page.send("Page.navigate", { url });
  await asked.catch((cause) => {
    throw new Error(`${url} did not ask within a minute`, { cause });
  });
  // The answer is read too, so that the caches hold a page that has done all it does.
  for (const end = performance.now() + LIMIT_MS; ; ) {
    const found = await page.run(`(${chatRequest})()`);
    if (typeof found === "number") {
      await page.close();
      return found;
    }
    if (performance.now() > end) throw new Error(`${url} shows no answer, but: ${found}`);
    await sleep(10);
  }
}

/** In the page: when its chat request left, or what it shows instead of an answer. */
function chatRequest() {
  const text = document.body?.textContent ?? "";
  if (!text.includes("fox")) return text;
  return performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/chat/completions")).startTime;
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
