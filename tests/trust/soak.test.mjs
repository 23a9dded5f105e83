/**
 * Three users in turn, tokens of 70 s that are worn out again and again, and random faults at fixed seeds: nobody's prompt may
 * leave under another's token, nothing may hang, and nothing may pile up. The long form: 10 000 asks and 2 000 streams.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { installPackage } from "../js/support/package.mjs";

const LONG = process.env.TRUST === "long";
const ASKS = LONG ? 10_000 : 800;
const STREAMS = LONG ? 2_000 : 160;
const AT_ONCE = 24;
const USERS = ["alice", "bob", "carol"];
const SEED = 20_261_128;
/** The client's waits, the retries' included, end well before. */
const HANG_MS = 60_000;
const MB = 1 << 20;

let installed, createClient, lab, server;

before(async () => {
  installed = await installPackage();
  const entry = (name) => import(pathToFileURL(`${installed.packageFolder}/${name}`).href);
  ({ createClient } = await entry("node.js"));
  lab = await entry("testing.js");
  server = await startServer(random(SEED));
});
after(async () => {
  server?.stop();
  await installed?.remove();
});

/** Mulberry32: a sequence that is the same in every run. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

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
  const host = createServer({ keepAliveTimeout: 500 }, async (request, response) => {
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
  });
  host.listen(0, "127.0.0.1");
  await once(host, "listening");
  return {
    seen,
    url: `http://127.0.0.1:${host.address().port}`,
    connections: () => new Promise((resolve) => host.getConnections((_error, count) => resolve(count))),
    stop() {
      host.close();
      host.closeAllConnections();
    },
  };
}

test(`${ASKS} asks and ${STREAMS} streams of three users`, { timeout: LONG ? 1_500_000 : 240_000 }, async (t) => {
  const chance = random(SEED + 1);
  let user = USERS[0];
  const behest = createClient({
    behestUrl: server.url,
    tokenUrl: `${server.url}/token`,
    getAccessToken: () => lab.accessToken(user),
    timeouts: { tokenMs: 400, firstByteMs: 400, idleMs: 400 },
  });
  const ends = {};
  const count = (end) => (ends[end] = (ends[end] ?? 0) + 1);
  const kinds = Array.from({ length: ASKS + STREAMS }, (_, index) => index < STREAMS);
  for (let index = kinds.length - 1; index > 0; index -= 1) {
    const other = Math.floor(chance() * (index + 1));
    [kinds[index], kinds[other]] = [kinds[other], kinds[index]];
  }

  async function one(isStream) {
    const content = `I am ${user}`;
    if (!isStream) return count(await behest.ask(content).catch(({ reason }) => reason));
    try {
      const stream = await behest.chat.completions.create({ messages: [{ role: "user", content }], stream: true });
      for await (const _ of stream) if (chance() < 0.05) break;
      count(stream.outcome);
    } catch ({ reason }) {
      count(reason);
    }
  }

  let hangs = 0;
  const heaps = [];
  async function worker() {
    for (let isStream = kinds.pop(); isStream !== undefined; isStream = kinds.pop()) {
      if (chance() < 0.02) {
        user = USERS[Math.floor(chance() * USERS.length)];
        behest.sessionChanged(lab.accessToken(user));
      }
      // Worn out as by time, which would take hours.
      if (chance() < 0.02) behest.token.invalidate();
      let timer;
      const late = new Promise((resolve) => (timer = setTimeout(resolve, HANG_MS, "late")));
      if ((await Promise.race([one(isStream), late])) === "late") hangs += 1;
      clearTimeout(timer);
      if (kinds.length % Math.ceil((ASKS + STREAMS) / 8) === 0) heaps.push(process.memoryUsage().heapUsed);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));

  const { mints, chats, faults, strangers } = server.seen;
  t.diagnostic(`ends: ${JSON.stringify(ends)}`);
  t.diagnostic(`${mints} mints, ${chats} prompts, ${faults} faults, ${strangers.length} under another's token, ${hangs} hangs`);
  t.diagnostic(`heap in MB: ${heaps.map((bytes) => (bytes / MB).toFixed(0)).join(", ")}`);
  assert.deepEqual(strangers, []);
  assert.equal(hangs, 0);
  assert.equal(Object.values(ends).reduce((sum, many) => sum + many, 0), ASKS + STREAMS);
  assert.equal(ends.internal, undefined);
  assert.ok(ends.Hello > ASKS / 2 && ends.complete > STREAMS / 3, "most calls succeed");
  assert.ok(faults > (ASKS + STREAMS) / 20, "faults were met");
  // Level: what is left at the end is not a multiple of what there was at the beginning.
  assert.ok(heaps.at(-1) < 2 * heaps[0] + 48 * MB, `the heap grows: ${heaps}`);
  behest.close();
  while ((await server.connections()) > 0) await wait(50);
});
