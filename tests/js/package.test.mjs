/** The packed package in Node.js, against the scripted world that it ships for the tests of applications. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { BehestError, createClient, decodeToken, fails, generateSessionId, installed, lab, messages, sent, setUp as setUpWithRetries, streamOf, urls } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";

const setUp = (gateway, options) => setUpWithRetries(gateway, { maxRetries: 0, ...options });


test("a question, an answer", LIMIT, async () => {
  const { world, behest } = setUp();
  assert.equal(await behest.ask("Hi!"), "Hello");
  assert.deepEqual(JSON.parse(world.requests[1].body), { model: "default", messages });
  const completion = await behest.chat.completions.create({ messages, temperature: 0 });
  assert.deepEqual(Object.keys(completion), ["id", "object", "choices"]);
  assert.deepEqual([completion.sessionId, completion.trace.cached, completion.trace.retries], ["session-1", true, []]);
  // A callback cannot tell of a change of the user, so it is asked at every call.
  assert.deepEqual([world.sessionReads, world.mints, world.chats], [2, 1, 2]);
});

test("a hundred calls at once cost one session read and one mint", LIMIT, async () => {
  const { world, behest } = setUp();
  const answers = await Promise.all(Array.from({ length: 100 }, () => behest.ask("Hi!")));
  assert.ok(answers.every((answer) => answer === "Hello"));
  assert.deepEqual([world.sessionReads, world.mints, world.chats], [1, 1, 100]);
});

test("a stream gives OpenAI's chunks, its text, its tool calls and its outcome", LIMIT, async () => {
  const call = (tool_call) => lab.event({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...tool_call }] } }] });
  const { behest } = setUp(() =>
    lab.stream([
      lab.delta("Hel"),
      lab.delta("lo"),
      call({ id: "call_1", function: { name: "f", arguments: '{"x"' } }),
      call({ function: { arguments: ":1}" } }),
      lab.finish("tool_calls"),
      lab.event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } }),
      lab.event("[DONE]"),
    ]),
  );
  const stream = await streamOf(behest);
  assert.equal(stream.outcome, null);
  const texts = [];
  for await (const text of stream.text()) texts.push(text);
  assert.deepEqual(texts, ["Hel", "lo"]);
  assert.deepEqual([stream.outcome, stream.finishReason, stream.content], ["tool_calls", "tool_calls", "Hello"]);
  assert.deepEqual(stream.toolCalls, [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"x":1}' } }]);
  assert.equal(stream.usage.total_tokens, 3);
  assert.ok(stream.trace.firstContentMs >= 0 && stream.trace.headersMs >= 0);
  assert.equal((await stream.next()).done, true);
});

for (const [what, pieces, outcome, reason] of [
  ["a clean close without an end", () => [lab.delta("Hi")], "truncated", "truncated"],
  ["a break", () => [lab.delta("Hi"), lab.CUT], "disconnected", "disconnected"],
  ["silence", () => [lab.delta("Hi"), lab.STALL], "stalled", "stalled"],
  ["an error event", () => [lab.delta("Hi"), lab.event({ error: { code: "content_filter" } })], "failed", "content_blocked"],
]) {
  test(`${what} ends a stream with its own outcome and keeps the text`, LIMIT, async () => {
    const { behest } = setUp(() => lab.stream(pieces()), { timeouts: { idleMs: 50 } });
    const stream = await streamOf(behest);
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, fails(reason));
    assert.deepEqual([stream.outcome, stream.content, stream.error.reason], [outcome, "Hi", reason]);
  });
}

test("a signal cancels at every stage, whatever it is aborted with", LIMIT, async () => {
  for (const reason of [undefined, "text", 42, null, new Error("mine")]) {
    const gone = AbortSignal.abort(reason);
    const { world, behest } = setUp();
    await assert.rejects(behest.ask("Hi!", { signal: gone }), fails("aborted"));
    await assert.rejects(streamOf(behest, { signal: gone }), fails("aborted"));
    assert.equal(world.requests.length, 0);

    const waiting = setUp(() => lab.hang());
    const controller = new AbortController();
    const call = waiting.behest.ask("Hi!", { signal: controller.signal });
    while (waiting.world.chats === 0) await new Promise(setImmediate);
    controller.abort(reason);
    await assert.rejects(call, fails("aborted"));
    assert.equal(waiting.world.requests.at(-1).cancelled, true);
  }
});

test("aborting a stream ends it quietly, keeps its text and cancels the request", LIMIT, async () => {
  const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
  const controller = new AbortController();
  const stream = await streamOf(behest, { signal: controller.signal });
  await stream.next();
  const pending = stream.next();
  controller.abort();
  assert.deepEqual(await pending, { done: true, value: undefined });
  assert.deepEqual([stream.outcome, stream.content, stream.error], ["aborted", "Hi", null]);
  assert.equal(world.requests.at(-1).cancelled, true);
});

test("leaving the loop cancels the request", LIMIT, async () => {
  const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
  const stream = await streamOf(behest);
  for await (const _ of stream) break;
  assert.equal(stream.outcome, "aborted");
  assert.equal(world.requests.at(-1).cancelled, true);
});

test("a body that aborts its own stream while it is read does no harm", LIMIT, async () => {
  let stream;
  const encoder = new TextEncoder();
  let pulls = 0;
  const body = () =>
    new ReadableStream(
      {
        pull(out) {
          if (pulls++ === 1) stream.abort();
          out.enqueue(encoder.encode(lab.delta("x")));
        },
      },
      { highWaterMark: 0 },
    );
  const { world, behest } = setUp(undefined, {
    fetch: async (request) =>
      lab.isMint(request) ? world.fetch(request) : new Response(body(), { headers: { "content-type": "text/event-stream" } }),
  });
  stream = await streamOf(behest);
  for await (const _ of stream);
  assert.equal(stream.outcome, "aborted");
});

/** A client whose module traps in one of its functions, as a defect in it would, once `poisoned` says so. */
async function poisonable(gateway, where = "head") {
  const { clientFactory } = await installed.load("lib/client.js");
  const { moduleLoaders } = await installed.load("lib/wasm.js");
  const { createGlue } = await installed.load("dist/glue.js");
  const state = { poisoned: false };
  const wasm = readFile(`${installed.packageFolder}/dist/behest.wasm`);
  const load = moduleLoaders(createGlue, async () => WebAssembly.compile(await wasm))({});
  const create = clientFactory(() => async () => {
    const instance = await load();
    const whole = instance.glue[where];
    instance.glue[where] = (...given) => {
      if (state.poisoned) throw new WebAssembly.RuntimeError("unreachable");
      return whole(...given);
    };
    return instance;
  });
  const world = new lab.World();
  if (gateway) world.serve((request) => (lab.isMint(request) ? lab.defaultReply(request, world) : gateway(request, world)));
  return { world, state, behest: create({ ...urls, fetch: world.fetch, getAccessToken: world.getAccessToken, maxRetries: 0 }) };
}

test("when the module stops, every pending call rejects, its requests are cancelled, and the next one works", LIMIT, async () => {
  const hang = ({ headers }) => headers["x-session-id"] === "hanging";
  const { world, state, behest } = await poisonable((request) => (hang(request) && state.poisoned ? lab.hang() : lab.defaultReply(request, world)));
  const conversation = behest.conversation({ sessionId: "hanging" });
  await Promise.all([behest.warm(), conversation.warm()]);
  state.poisoned = true;
  const others = [conversation.ask("one"), conversation.ask("two")];
  for (const call of others) call.catch(() => {});
  while (world.chats < others.length) await new Promise(setImmediate);
  await assert.rejects(behest.ask("Hi!"), fails("internal"));
  for (const call of others) await assert.rejects(call, fails("internal"));
  assert.ok(world.requests.filter(hang).every(({ cancelled }) => cancelled));
  assert.equal(behest.token.peek(), null);
  state.poisoned = false;
  assert.equal(await behest.ask("Hi!"), "Hello");
  assert.equal(await conversation.ask("Hi!"), "Hello");
  assert.equal(world.requests.at(-1).headers["x-session-id"], "hanging");
});

for (const where of ["begin", "asked", "tell", "head", "bytes", "end", "actions", "reply"]) {
  test(`a call ends wherever the module stops: in ${where}`, LIMIT, async () => {
    const { state, behest } = await poisonable(undefined, where);
    await behest.warm();
    state.poisoned = true;
    await assert.rejects(behest.ask("Hi!"), fails("internal"));
    state.poisoned = false;
    assert.equal(await behest.ask("Hi!"), "Hello");
  });
}

test("a stream whose module stops is failed and keeps its text", LIMIT, async () => {
  const { state, behest } = await poisonable(() => lab.stream([lab.delta("Hi"), lab.STALL]));
  const stream = await streamOf(behest);
  await stream.next();
  const pending = stream.next();
  pending.catch(() => {});
  state.poisoned = true;
  await assert.rejects(behest.ask("Hi!"), fails("internal"));
  await assert.rejects(pending, fails("internal"));
  assert.deepEqual([stream.outcome, stream.content, stream.sessionId], ["failed", "Hi", "session-1"]);
  stream.abort();
});

test("a response that cannot be looked at is no answer, and harms no other call", LIMIT, async () => {
  class Poisoned extends Response {
    get headers() {
      throw new Error("poisoned");
    }
  }
  for (const wrong of [() => new Poisoned("{}"), () => undefined, () => ({}), () => "text", () => null]) {
    let chats = 0;
    const { behest } = setUp(undefined, {
      maxRetries: 2,
      fetch: async (request) => (lab.isMint(request) ? new Response('{"token":"t","ttl":900}') : (chats++, wrong())),
    });
    await assert.rejects(behest.ask("Hi!"), fails("invalid_response"));
    assert.equal(chats, 1, "the prompt went out once");
  }
});

test("chunks asked for all at once come in order", LIMIT, async () => {
  const { behest } = setUp(() => lab.stream([lab.delta("a"), lab.wait(5), lab.delta("b"), lab.finish(), lab.event("[DONE]")]));
  const stream = await streamOf(behest);
  const steps = await Promise.all(Array.from({ length: 5 }, () => stream.next()));
  assert.deepEqual(steps.map(({ done }) => done), [false, false, false, true, true]);
  assert.deepEqual([stream.content, stream.outcome], ["ab", "complete"]);
});

test("a reader who takes time is no silence", LIMIT, async () => {
  const { behest } = setUp(() => lab.stream([lab.delta("a"), lab.delta("b"), lab.finish()]), { timeouts: { idleMs: 30 } });
  const stream = await streamOf(behest);
  for await (const _ of stream) await new Promise((resolve) => setTimeout(resolve, 60));
  assert.deepEqual([stream.content, stream.outcome], ["ab", "complete"]);
});

test("what has come whole is not cancelled", LIMIT, async () => {
  const { world, behest } = setUp();
  await behest.ask("Hi!");
  for await (const _ of await streamOf(behest));
  while (!world.requests.every(({ answered }) => answered)) await new Promise(setImmediate);
  await new Promise(setImmediate);
  assert.deepEqual(world.requests.map(({ cancelled }) => cancelled), [false, false, false]);
});

test("a module that is still loading keeps no call waiting", LIMIT, async () => {
  const { clientFactory } = await installed.load("lib/client.js");
  const create = clientFactory(() => () => new Promise(() => {}));
  const behest = create({ getAccessToken: () => null, behestUrl: "https://g.example", supabaseUrl: "https://p.example" });
  const controller = new AbortController();
  const call = behest.ask("Hi!", { signal: controller.signal });
  controller.abort();
  await assert.rejects(call, fails("aborted"));
  await assert.rejects(behest.ask("Hi!", { timeoutMs: 10 }), fails("timeout"));
  await assert.rejects(behest.conversation().ask("Hi!", { signal: AbortSignal.abort() }), fails("aborted"));
});

test("arguments of another type are refused before they reach the module", LIMIT, async () => {
  const { world, behest } = setUp();
  await behest.warm();
  for (const wrong of [undefined, null, 123, {}, [], Symbol("s"), true]) {
    await assert.rejects(behest.ask(wrong), fails("invalid_request"));
    await assert.rejects(behest.threads.get(wrong), fails("invalid_request"));
    await assert.rejects(behest.chat.completions.create(wrong), fails("invalid_request"));
  }
  assert.throws(() => behest.sessionChanged({ access_token: "x" }), fails("invalid_request"));
  await assert.rejects(behest.usage.get({ from: new Date(NaN) }), fails("invalid_request"));
  await assert.rejects(behest.usage.get({ from: 7 }), fails("invalid_config"));
  for (const nonsense of ["nonsense", "a.!!.c", undefined, 7]) assert.throws(() => decodeToken(nonsense), fails("malformed_token"));
  assert.equal(await behest.ask("Hi!"), "Hello");
  assert.equal(world.mints, 1, "the module is still the same one");
});

test("fields of the gateway's are not overwritten", LIMIT, async () => {
  const { behest } = setUp(({ url }) => lab.json(200, url.includes("usage") ? 7 : { id: "t", sessionId: "own", trace: "own" }));
  const thread = await behest.threads.get("t");
  assert.deepEqual({ ...thread }, { id: "t", sessionId: "own", trace: "own" });
  assert.equal(await behest.usage.get(), 7);
});

test("a chunk without choices, or with null among them, is no harm", LIMIT, async () => {
  const odd = [lab.event({ choices: null }), lab.event({ choices: [null] }), lab.event({})];
  const { behest } = setUp(() => lab.stream([...odd, lab.delta("Hi"), lab.finish()]));
  const stream = await streamOf(behest);
  for await (const _ of stream);
  assert.deepEqual([stream.content, stream.outcome], ["Hi", "complete"]);
});

test("a signal that lives long is not listened to by streams that ended", LIMIT, async () => {
  const { behest } = setUp();
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  signal.addEventListener = (...args) => (listeners++, addEventListener.apply(signal, args));
  signal.removeEventListener = (...args) => (listeners--, removeEventListener.apply(signal, args));
  for (let i = 0; i < 20; i++) for await (const _ of await streamOf(behest, { signal }));
  await behest.ask("Hi!", { signal });
  assert.equal(listeners, 0);
});

test("threads, usage and models", LIMIT, async () => {
  const { world, behest } = setUp(({ method }) => (method === "DELETE" ? lab.json(204, "") : lab.json(200, { data: [] })));
  assert.deepEqual(await behest.threads.list(), { data: [] });
  await behest.threads.get("a/b");
  await behest.threads.messages("t");
  assert.equal(await behest.threads.delete("t"), undefined);
  await behest.usage.get({ from: new Date(0), granularity: "day" });
  await behest.models.list();
  await assert.rejects(behest.threads.get(".."), fails("invalid_request"));
  assert.deepEqual(
    world.requests.slice(1).map(({ method, url }) => `${method} ${url.replace("https://gateway.example/v1", "")}`),
    [
      "GET /threads",
      "GET /threads/a%2Fb",
      "GET /threads/t/messages",
      "DELETE /threads/t",
      "GET /usage?from=1970-01-01T00%3A00%3A00.000Z&granularity=day",
      "GET /models",
    ],
  );
});

test("conversations keep their session and thread, and their budget", LIMIT, async () => {
  const usage = { prompt_tokens: 30, completion_tokens: 20, total_tokens: 50 };
  const { world, behest } = setUp(() => lab.json(200, { choices: [{ message: { content: "Hello" } }], usage }));
  const conversation = behest.conversation({ threadId: "thread-1", budget: { tokens: 60 } });
  assert.equal(conversation.sessionId, undefined);
  await conversation.ask("one");
  await conversation.ask("two");
  await assert.rejects(conversation.ask("three"), fails("budget_exhausted"));
  assert.equal(world.chats, 2);
  for (const { headers } of sent(world)) {
    assert.deepEqual([headers["x-session-id"], headers["x-thread-id"]], [conversation.sessionId, "thread-1"]);
  }
  const another = behest.conversation();
  await another.ask("one");
  assert.notEqual(another.sessionId, conversation.sessionId);
  for (const { sessionId } of [conversation, another]) {
    assert.match(sessionId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  await assert.rejects(behest.conversation({ sessionId: "line\nbreak" }).ask("Hi!"), fails("invalid_config"));
  await assert.rejects(behest.conversation({ budget: { cost: 1 } }).ask("Hi!"), fails("invalid_config"));
  await assert.rejects(behest.conversation({ budget: 1 }).ask("Hi!"), fails("invalid_config"));
});

test("limits may be set for a call", LIMIT, async () => {
  const { behest } = setUp(() => lab.hang());
  await assert.rejects(behest.ask("Hi!", { timeoutMs: 20 }), fails("timeout"));
  await assert.rejects(behest.ask("Hi!", { timeoutMs: -1 }), fails("invalid_config"));
  await assert.rejects(behest.ask("Hi!", { maxRetries: "many" }), fails("invalid_config"));
});

test("bad options are named", LIMIT, async () => {
  assert.throws(() => createClient({ behestUrl: "https://g.example" }), fails("invalid_config"));
  for (const [options, named] of [
    [{ behestUrl: undefined }, /behestUrl/],
    [{ behestUrl: 7 }, /behestUrl/],
    [{ behestUrl: "g.example" }, /behestUrl/],
    [{ supabaseUrl: undefined }, /supabaseUrl/],
    [{ functionName: "a/b" }, /functionName/],
    [{ marginMs: "60" }, /marginMs/],
    [{ timeouts: { idleMs: NaN } }, /idleMs/],
    [{ timeouts: 5000 }, /timeouts/],
    [{ marginMs: 1e40 }, /marginMs/],
    [{ fetch: "fetch" }, /fetch/],
    [{ apiKey: "sb_secret_x" }, /publishable/],
  ]) {
    assert.throws(() => setUp(undefined, options), (error) => fails("invalid_config")(error) && named.test(error.message));
  }
  // All at once.
  assert.throws(() => setUp(undefined, { behestUrl: 7, marginMs: -1 }), /behestUrl.*marginMs/);
});

test("a session source may answer, throw or be wrong in any way", LIMIT, async () => {
  const cases = [
    [() => null, "signed_out"],
    [() => undefined, "signed_out"],
    [() => "", "signed_out"],
    [async () => { throw new Error("storage is locked"); }, "session_failed"],
    [() => { throw "text"; }, "session_failed"],
    [() => Promise.reject(undefined), "session_failed"],
    [() => ({ access_token: "x" }), "session_failed"],
    [() => "sb_publishable_x", "api_key_as_bearer"],
    [() => new Promise(() => {}), "session_timeout"],
  ];
  for (const [getAccessToken, reason] of cases) {
    const { world, behest } = setUp(undefined, { getAccessToken, timeouts: { sessionMs: 30 } });
    await assert.rejects(behest.ask("Hi!"), fails(reason));
    assert.equal(world.requests.length, 0);
  }
  const { behest } = setUp(undefined, { getAccessToken: () => lab.accessToken("user-1") });
  assert.equal(await behest.ask("Hi!"), "Hello");
});

test("errors are errors, say what to do and hold no token", LIMIT, async () => {
  const { behest } = setUp(() => lab.json(429, { error: { code: "rate_limited", message: "slow down" } }, { "retry-after": "7", "x-trace-id": "t-1" }));
  const error = await behest.ask("Hi!").catch((error) => error);
  assert.ok(error instanceof Error && error instanceof BehestError);
  assert.match(error.message, /^The gateway answered 429: slow down \(status 429\)\. .+\.$/);
  const { name, reason, action, status, retryAfterMs, code, traceId } = error;
  assert.deepEqual(
    { name, reason, action, status, retryAfterMs, code, traceId },
    { name: "BehestError", reason: "rate_limited", action: "retry_after", status: 429, retryAfterMs: 7000, code: "rate_limited", traceId: "t-1" },
  );
  assert.equal(JSON.parse(JSON.stringify(error)).reason, "rate_limited");
  assert.doesNotMatch(JSON.stringify(error) + error.stack, /token-1|eyJ/);
});

test("a user who changes never gets the other one's token", LIMIT, async () => {
  const { world, behest } = setUp();
  await behest.ask("Hi!");
  behest.sessionChanged(world.signedIn("user-2"));
  assert.equal(behest.token.peek(), null);
  await behest.ask("Hi!");
  assert.equal(world.requests.at(-1).headers.authorization, "Bearer token-2");
  world.signedOut();
  behest.sessionChanged(null);
  await assert.rejects(behest.ask("Hi!"), fails("signed_out"));
});

test("a supabase-js client is followed in the turn in which it tells of a change", LIMIT, async () => {
  let callback;
  let unsubscribed = false;
  const world = new lab.World();
  const supabase = {
    supabaseUrl: "https://project.example",
    auth: {
      getSession: async () => ({ data: { session: { access_token: await world.getAccessToken() } }, error: null }),
      onAuthStateChange(given) {
        callback = given;
        return { data: { subscription: { unsubscribe: () => (unsubscribed = true) } } };
      },
    },
  };
  const behest = createClient({ supabase, behestUrl: "https://gateway.example", fetch: world.fetch });
  await behest.ask("Hi!");
  callback("SIGNED_IN", { access_token: world.signedIn("user-2") });
  assert.equal(behest.token.peek(), null);
  behest.close();
  assert.ok(unsubscribed);
});

test("claims are decoded as UTF-8, and session ids are UUIDs", () => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  assert.deepEqual(decodeToken(`${part({})}.${part({ name: "Zoë 👋" })}.x`), { name: "Zoë 👋" });
  const ids = new Set(Array.from({ length: 50 }, generateSessionId));
  assert.equal(ids.size, 50);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
