/** `behest.fetch`: the client's rules for requests of other libraries. In Node.js, against a scripted world. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { lab, sent, setUp, until } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";
import { listen } from "./support/loopback.mjs";

const GATEWAY = "https://gateway.example/base";

const setting = (options = {}) => setUp(undefined, { behestUrl: GATEWAY, ...options });

const CHAT = `${GATEWAY}/v1/chat/completions`;
const asks = (body = {}, more = {}) => ({
  method: "POST",
  headers: { "content-type": "application/json", authorization: "Bearer unused" },
  body: JSON.stringify({ messages: [], ...body }),
  ...more,
});

test("a request below the gateway's URL gets token and session, and loses what is another server's", LIMIT, async () => {
  const { world, behest } = setting();
  assert.equal(behest.openaiBaseUrl, `${GATEWAY}/v1`);
  const headers = {
    "x-stainless-os": "Linux",
    "openai-organization": "o",
    "api-key": "k",
    "x-own": "kept",
    authorization: "Bearer unused",
  };
  const response = await behest.fetch(`${CHAT}?a=1`, asks({}, { headers }));
  assert.equal(response.status, 200);
  assert.equal((await response.json()).choices[0].message.content, "Hello");
  const [request] = sent(world);
  assert.equal(request.url, `${CHAT}?a=1`);
  assert.deepEqual(request.headers, {
    authorization: "Bearer token-1",
    "content-type": "text/plain;charset=UTF-8",
    "x-own": "kept",
    "x-session-id": "session-1",
  });
  assert.equal(request.body, '{"messages":[]}');
  assert.equal(request.cancelled, false);
});

test("every form of a request works: a URL, a Request, FormData, GET", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request, world) => (lab.isMint(request) ? lab.bundle() : lab.json(200, { object: "list" })));
  await behest.fetch(new URL(`${GATEWAY}/v1/models`));
  await behest.fetch(new Request(CHAT, asks({ n: 1 })));
  const form = new FormData();
  form.set("file", new Blob(["sound"]), "a.wav");
  await behest.fetch(`${GATEWAY}/v1/audio/transcriptions`, { method: "POST", body: form });
  const [models, chat, audio] = sent(world);
  assert.deepEqual([models.method, models.body], ["GET", ""]);
  assert.deepEqual([chat.method, chat.body], ["POST", '{"messages":[],"n":1}']);
  assert.match(audio.headers["content-type"], /^multipart\/form-data; boundary=/);
  assert.match(audio.body, /filename="a\.wav"[\s\S]*sound/);
  assert.equal(world.mints, 1);
});

test("no other server is sent the token", LIMIT, async () => {
  const seen = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    response.end("theirs");
  });
  const { url: elsewhere, stop } = await listen(server);
  try {
    const { world, behest } = setting({ behestUrl: `${elsewhere}/base` });
    // Another origin, a sibling of the base path, and a way out of it.
    for (const url of [
      `${elsewhere.replace("127.0.0.1", "localhost")}/base/v1`,
      `${elsewhere}/basement/v1`,
      `${elsewhere}/base/../v1/models`,
    ]) {
      const response = await behest
        .fetch(url, { headers: { authorization: "Bearer theirs" } })
        .catch((error) => ({ text: () => error.message }));
      await response.text();
    }
    assert.deepEqual(
      seen.filter((header) => header !== "Bearer theirs"),
      [],
    );
    assert.ok(seen.length >= 2);
    assert.equal(world.requests.length, 0);
  } finally {
    await stop();
  }
});

test("a 401 costs one new token, a second one is handed on", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request, world) => {
    if (lab.isMint(request)) return lab.bundle(`token-${world.mints}`);
    return request.headers.authorization === "Bearer token-2"
      ? lab.defaultReply(request, world)
      : lab.json(401, { error: { code: "invalid_token" } });
  });
  const good = await behest.fetch(CHAT, asks());
  assert.equal(good.status, 200);
  assert.deepEqual(
    sent(world).map(({ headers }) => headers.authorization),
    ["Bearer token-1", "Bearer token-2"],
  );

  world.serve((request, world) =>
    lab.isMint(request) ? lab.bundle(`token-${world.mints}`) : lab.json(401, { error: { message: "no" } }),
  );
  const bad = await behest.fetch(CHAT, asks());
  assert.deepEqual([bad.status, await bad.json()], [401, { error: { message: "no" } }]);
  assert.equal(bad.headers.get("x-should-retry"), "false");
  assert.equal(world.mints, 3);
});

test("what passes is tried again, and what is final arrives with its own words", LIMIT, async () => {
  const { world, behest } = setting();
  let tries = 0;
  world.serve((request) => {
    if (lab.isMint(request)) return lab.bundle();
    tries += 1;
    return tries < 3 ? lab.json(503, "busy", { "retry-after": "0" }) : lab.json(200, { fine: true });
  });
  assert.deepEqual(await (await behest.fetch(CHAT, asks())).json(), { fine: true });
  assert.equal(tries, 3);

  world.serve((request) =>
    lab.isMint(request)
      ? lab.bundle()
      : lab.json(422, { error: { code: "PROVIDER_NOT_CONFIGURED" } }, { "x-trace-id": "t-1" }),
  );
  const refused = await behest.fetch(CHAT, asks());
  assert.equal(refused.status, 422);
  assert.equal(refused.headers.get("x-trace-id"), "t-1");
  assert.equal(refused.headers.get("x-should-retry"), "false");
  assert.deepEqual(await refused.json(), { error: { code: "PROVIDER_NOT_CONFIGURED" } });
});

test("a stream is passed on piece by piece, and none is read before it is asked for", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request) =>
    lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("a"), lab.delta("b"), lab.finish()]),
  );
  const response = await behest.fetch(CHAT, asks({ stream: true }));
  const reader = response.body.getReader();
  const texts = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    texts.push(new TextDecoder().decode(value));
  }
  assert.deepEqual(texts, [lab.delta("a"), lab.delta("b"), lab.finish()]);
  const [request] = sent(world);
  assert.deepEqual([request.answered, request.cancelled], [true, false]);
});

test("an abort reaches the wire, before the head and after it, with the signal's own reason", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.hang()));
  const early = new AbortController();
  const pending = behest.fetch(CHAT, asks({}, { signal: early.signal }));
  await until(() => sent(world).length === 1);
  early.abort();
  await assert.rejects(pending, { name: "AbortError" });
  assert.equal(sent(world)[0].cancelled, true);

  world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("a"), lab.STALL])));
  const late = new AbortController();
  const reader = (await behest.fetch(CHAT, asks({ stream: true }, { signal: late.signal }))).body.getReader();
  await reader.read();
  const next = reader.read();
  late.abort("enough");
  await assert.rejects(next, (reason) => reason === "enough");
  assert.equal(sent(world)[1].cancelled, true);

  const response = await behest.fetch(CHAT, asks({ stream: true }));
  await response.body.cancel();
  assert.equal(sent(world)[2].cancelled, true);

  const aborted = AbortSignal.abort();
  await assert.rejects(behest.fetch(CHAT, asks({}, { signal: aborted })), { name: "AbortError" });
  assert.equal(sent(world).length, 3);
});

test("a connection that breaks breaks the body", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("a"), lab.CUT])));
  const response = await behest.fetch(CHAT, asks({ stream: true }));
  await assert.rejects(response.text(), /network error/);
});

test("what is of a user who left ends with user_changed", LIMIT, async () => {
  const { world, behest } = setting();
  world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.stream([lab.delta("a"), lab.STALL])));
  const reader = (await behest.fetch(CHAT, asks({ stream: true }))).body.getReader();
  await reader.read();
  const next = reader.read();
  behest.sessionChanged(world.signedIn("user-2"));
  await assert.rejects(next, { reason: "user_changed" });
  assert.equal(sent(world)[0].cancelled, true);
});

test("where there is no token, libraries read why; where there is no answer, they are thrown it", LIMIT, async () => {
  const { world, behest } = setting();
  world.signedOut();
  const out = await behest.fetch(CHAT, asks());
  assert.equal(out.status, 401);
  const { error } = await out.json();
  assert.equal(error.code, "signed_out");
  assert.match(error.message, /Nobody is signed in/);

  world.signedIn("user-1");
  world.serve((request) => (lab.isMint(request) ? lab.json(403, { error: "no", code: "role_refused" }) : lab.hang()));
  const refused = await behest.fetch(CHAT, asks());
  assert.deepEqual([refused.status, (await refused.json()).error.code], [403, "role_refused"]);

  const other = setting({ maxRetries: 0 });
  other.world.serve((request) => (lab.isMint(request) ? lab.bundle() : lab.refused("Failed to fetch")));
  await assert.rejects(other.behest.fetch(CHAT, asks()), { name: "BehestError", reason: "network" });
});

test("an answer without a body is over when it is there", LIMIT, async () => {
  const requests = [];
  const fetch = async (request) => {
    if (lab.isMint(request)) return new Response('{"token":"t","ttl":900}');
    requests.push(request);
    return new Response(null, { status: request.method === "DELETE" ? 204 : 200 });
  };
  const { world, behest } = setting({ fetch });
  for (const method of ["DELETE", "HEAD", "POST"]) {
    const { status, body } = await behest.fetch(`${GATEWAY}/v1/threads/t`, { method });
    assert.deepEqual([status, body], [method === "DELETE" ? 204 : 200, null]);
  }
  // What is under way would end with its user.
  behest.sessionChanged(world.signedIn("user-2"));
  assert.deepEqual(requests.map(({ signal }) => signal.aborted), [false, false, false]);
});

test("a conversation's fetch keeps its session, its thread and its budget", LIMIT, async () => {
  const { world, behest } = setting();
  const talk = behest.conversation({ sessionId: "s-7", threadId: "t-7", budget: { tokens: 5 } });
  await (await talk.fetch(CHAT, asks({ stream: true }))).text();
  const [request] = sent(world);
  assert.deepEqual([request.headers["x-session-id"], request.headers["x-thread-id"]], ["s-7", "t-7"]);
  const spent = await talk.fetch(CHAT, asks());
  assert.equal((await spent.json()).error.code, "budget_exhausted");
  assert.equal(sent(world).length, 1);
});

test("a status that no Response can have is told in our words", LIMIT, async () => {
  for (const status of [600, 999]) {
    const answer = () => Object.defineProperty(new Response("{}"), "status", { value: status });
    const fetch = async (request) => (lab.isMint(request) ? new Response('{"token":"t","ttl":900}') : answer());
    const response = await setting({ fetch }).behest.fetch(CHAT, asks());
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code, response.headers.get("x-should-retry")], [400, "invalid_response", "false"]);
    assert.match(error.message, new RegExp(`answered ${status}`));
  }
});

test("an abort is heard while the request's own body is still coming", LIMIT, async () => {
  const { world, behest } = setting();
  const controller = new AbortController();
  let pulled;
  const asked = new Promise((resolve) => (pulled = resolve));
  const body = new ReadableStream({
    pull() {
      pulled();
      return new Promise(() => {});
    },
  });
  const call = behest.fetch(CHAT, { method: "POST", body, duplex: "half", signal: controller.signal });
  call.catch(() => {});
  await asked;
  // Behind whoever begins to read.
  await new Promise(setImmediate);
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(call, reason);
  assert.equal(world.requests.length, 0);
});
