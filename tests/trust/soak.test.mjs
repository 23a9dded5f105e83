/**
 * Three users in turn, tokens of 70 s that are worn out again and again, and random faults at fixed seeds: nobody's prompt may
 * leave under another's token, nothing may hang, and nothing may pile up. The long form, in Node and in Chromium: 10 000 asks and
 * 2 000 streams.
 */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { launch, openPage } from "../js/support/browser.mjs";
import { createClient, installed, lab } from "../js/support/in-node.mjs";
import { listen } from "../js/support/loopback.mjs";
import { servePages } from "./pages.mjs";
import { random } from "./random.mjs";
import { soak } from "./soak.mjs";

const LONG = process.env.TRUST === "long";
const LIMIT = { timeout: LONG ? 1_500_000 : 240_000 };
const ASKS = LONG ? 10_000 : 800;
const STREAMS = LONG ? 2_000 : 160;
const AT_ONCE = 24;
/** A browser opens six connections to a port at once, and what waits for one is not to time out. */
const AT_ONCE_IN_PAGES = 5;
const SEED = 20_261_128;
const MB = 1 << 20;

const OPEN = { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization, content-type, x-session-id", "access-control-max-age": "600", "access-control-expose-headers": "retry-after" };

/** Tokens are named after their user, prompts say whose they are; a tenth of the requests goes wrong. */
async function startServer(chance) {
  const seen = { mints: 0, chats: 0, faults: 0, strangers: [] };
  const faults = [
    (response) => response.destroy(),
    (response) => response.writeHead(503, { "retry-after": "0" }).end(),
    (response) => response.writeHead(429, { "retry-after": "0" }).end("{}"),
    (response) => response.writeHead(401).end(),
    (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
    (response) => response.writeHead(200, { "content-type": "application/json", "content-length": 99 }).write("{", () => response.destroy()),
    (response) => response.writeHead(200, { "content-type": "text/event-stream" }).write(lab.delta("half"), () => response.destroy()),
    // Silence, until the client has had enough.
    () => {},
  ];
  const answer = async (request, response) => {
    for (const [name, value] of Object.entries(OPEN)) response.setHeader(name, value);
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    let body = "";
    for await (const piece of request) body += piece;
    const bearer = request.headers.authorization ?? "";
    const isMint = request.url.startsWith("/token");
    if (isMint) seen.mints += 1;
    else {
      seen.chats += 1;
      const [, owner] = /^Bearer token-of-(\w+)-/.exec(bearer) ?? [];
      const { messages } = JSON.parse(body);
      if (messages[0].content !== `I am ${owner}`) seen.strangers.push(`${messages[0].content} under ${bearer}`);
    }
    if (chance() < 0.1) {
      seen.faults += 1;
      return faults[Math.floor(chance() * faults.length)](response);
    }
    if (isMint) {
      const { sub } = JSON.parse(Buffer.from(bearer.split(".")[1], "base64url"));
      // A late mint is what a change of users is about.
      await wait(chance() * 8);
      return response.setHeader("content-type", "application/json").end(JSON.stringify({ token: `token-of-${sub}-${seen.mints}`, ttl: 70, sessionId: "s" }));
    }
    if (!body.includes('"stream":true')) {
      const message = { role: "assistant", content: "Hello" };
      return response.setHeader("content-type", "application/json").end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }));
    }
    response.setHeader("content-type", "text/event-stream");
    for (const piece of [lab.delta("Hel"), lab.delta("lo"), lab.finish(), lab.event("[DONE]")]) {
      response.write(piece);
      await wait(0);
    }
    response.end();
  };
  const [tokens, gateway] = [answer, answer].map((answer) => createServer({ keepAliveTimeout: 500 }, answer));
  const hosts = [tokens, gateway];
  const [atTokens, atGateway] = await Promise.all(hosts.map((host) => listen(host)));
  const connections = () => Promise.all(hosts.map((host) => new Promise((resolve) => host.getConnections((_error, count) => resolve(count)))));
  return {
    seen,
    urls: { behestUrl: atGateway.url, tokenUrl: `${atTokens.url}/token` },
    connections: async () => (await connections()).reduce((sum, count) => sum + count),
    stop: () => Promise.all([atTokens.stop(), atGateway.stop()]),
  };
}

/** Runs `callers` against a server of its own and holds what came of it. */
async function hold(t, together, callers) {
  const server = await startServer(random(SEED));
  try {
    const open = [];
    const looking = setInterval(async () => open.push(await server.connections()), 200);
    const { ends, hangs, heaps, modules } = await callers({ urls: server.urls, asks: ASKS, streams: STREAMS, seed: SEED + 1, together });
    clearInterval(looking);
    const { mints, chats, faults, strangers } = server.seen;
    const inMb = (list) => list.map((bytes) => (bytes / MB).toFixed(1)).join(", ");
    t.diagnostic(`ends: ${JSON.stringify(ends)}`);
    t.diagnostic(`${mints} mints, ${chats} prompts, ${faults} faults, ${strangers.length} under another's token, ${hangs} hangs`);
    t.diagnostic(`heap in MB: ${inMb(heaps)}; modules: ${inMb(modules)}; connections at most: ${Math.max(...open)}`);
    assert.deepEqual(strangers, []);
    assert.equal(hangs, 0);
    assert.equal(Object.values(ends).reduce((sum, many) => sum + many, 0), ASKS + STREAMS);
    assert.equal(ends.internal, undefined);
    assert.ok(ends.Hello > ASKS / 3 && ends.complete > STREAMS / 4, "most calls of users who stay succeed");
    assert.ok(faults > (ASKS + STREAMS) / 20, "faults were met");
    // Level: what is left at the end is not a multiple of what there was at the beginning.
    assert.ok(heaps.at(-1) < heaps[1] + 16 * MB, `the heap grows: ${heaps}`);
    assert.ok(modules.at(-1) <= modules[1] + MB, `the module's memory grows: ${modules}`);
    // Each caller has one to either server; what was given up may not have been closed yet.
    assert.ok(Math.max(...open) <= 4 * together, `too many connections: ${open}`);
    while ((await server.connections()) > 0) await wait(50);
  } finally {
    server.stop();
  }
}

test(`${ASKS} asks and ${STREAMS} streams of three users, in Node`, LIMIT, (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  return hold(t, AT_ONCE, (given) => soak({ ...given, createClient, lab, heap }));
});

if (LONG) {
  test(`${ASKS} asks and ${STREAMS} streams of three users, in Chromium`, LIMIT, async (t) => {
    const pages = await servePages(installed.packageFolder);
    const browser = await launch(["--enable-precise-memory-info", "--js-flags=--expose-gc"]);
    try {
      const { page } = await openPage(browser);
      page.setDefaultTimeout(0);
      await page.goto(`${pages.origin}/`);
      await hold(t, AT_ONCE_IN_PAGES, (given) =>
        page.evaluate(async (given) => {
          const [{ soak }, { createClient }, lab] = await Promise.all(["/trust/soak.mjs", "/pkg/index.js", "/pkg/testing.js"].map((url) => import(url)));
          const heap = () => {
            globalThis.gc();
            return performance.memory.usedJSHeapSize;
          };
          return soak({ ...given, createClient, lab, heap });
        }, given));
      // Its pool of idle connections is the browser's.
      await page.close();
    } finally {
      await browser.close();
      pages.stop();
    }
  });
}
