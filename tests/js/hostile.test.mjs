/** What hostile servers and wrong callers do to the packed package: each a promise that was once broken. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import net from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";

import { createClient, decodeToken, fails, installed, lab, messages, sent, setUp, streamOf, until, urls } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";
import { listen } from "./support/loopback.mjs";

test("a callback that gives Alice, then Bob, then null is believed each time", LIMIT, async () => {
  const answers = ["alice", "bob", null];
  const { world, behest } = setUp(undefined, {
    getAccessToken: () => {
      const user = answers.shift();
      return user ? lab.accessToken(user) : null;
    },
  });
  await behest.ask("as Alice");
  await behest.ask("as Bob");
  await assert.rejects(behest.ask("as nobody"), fails("signed_out"));
  const bearers = sent(world).map(({ headers }) => headers.authorization);
  assert.deepEqual(bearers, ["Bearer token-1", "Bearer token-2"]);
});

test("what one user asks never leaves under the next one's token", LIMIT, async () => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const { world, behest } = setUp();
  world.serve(async (request) => {
    if (lab.isMint(request)) await held;
    return lab.defaultReply(request, world);
  });
  const conversation = behest.conversation({ threadId: "alices" });
  const [call, threaded] = [behest.ask("Alice's"), conversation.ask("Alice's")];
  for (const pending of [call, threaded]) pending.catch(() => {});
  await until(() => world.mints >= 1);
  world.signedOut();
  behest.sessionChanged(null);
  behest.sessionChanged(world.signedIn("bob"));
  release();
  await assert.rejects(call, fails("user_changed"));
  await assert.rejects(threaded, fails("user_changed"));
  assert.equal(await behest.ask("Bob's"), "Hello");
  assert.deepEqual(sent(world).map(({ body }) => JSON.parse(body).messages[0].content), ["Bob's"]);
});

test("a conversation ends with its user", LIMIT, async () => {
  const { world, behest } = setUp();
  const conversation = behest.conversation({ threadId: "alices" });
  await conversation.ask("Hi!");
  behest.sessionChanged(world.signedIn("bob"));
  const before = world.chats;
  await assert.rejects(conversation.ask("Hi!"), fails("user_changed"));
  assert.equal(world.chats, before);
});

test("the sign-out of somebody who asked while the module was loading is not missed", LIMIT, async () => {
  const { world, behest } = setUp();
  const call = behest.ask("Alice's");
  call.catch(() => {});
  behest.sessionChanged(null);
  behest.sessionChanged(world.signedIn("bob"));
  await assert.rejects(call, fails("user_changed"));
  assert.equal(world.chats, 0);
});

test("a prompt that may have arrived is sent once, one that did not is sent again", LIMIT, async (context) => {
  const unknown = new TypeError("Failed to fetch");
  const refused = new TypeError("fetch failed", { cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }) });
  const own = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  context.after(() => (own ? Object.defineProperty(globalThis, "navigator", own) : delete globalThis.navigator));
  for (const [onLine, error, chats] of [
    [true, unknown, 1],
    [true, refused, 3],
    [false, unknown, 3],
  ]) {
    Object.defineProperty(globalThis, "navigator", { value: { onLine }, configurable: true });
    let sent = 0;
    const { behest } = setUp(undefined, {
      fetch: async (request) => {
        if (lab.isMint(request)) return new Response('{"token":"t","ttl":900}');
        sent += 1;
        throw error;
      },
    });
    await assert.rejects(behest.ask("Hi!"), (thrown) => fails("network")(thrown) && thrown.cause === error);
    assert.equal(sent, chats);
  }
});

test("a Response of another realm is one, a locked body is said to be", LIMIT, async () => {
  const foreign = () => {
    const { Response } = globalThis;
    const real = new Response('{"choices":[{"message":{"content":"foreign"}}]}');
    return runInNewContext("({ status: 200, type: 'basic', headers, body })", { headers: real.headers, body: real.body });
  };
  const mint = () => new Response('{"token":"t","ttl":900}');
  const { behest } = setUp(undefined, { fetch: async (request) => (lab.isMint(request) ? mint() : foreign()) });
  assert.equal(await behest.ask("Hi!"), "foreign");
  let chats = 0;
  const locked = setUp(undefined, {
    fetch: async (request) => {
      if (lab.isMint(request)) return mint();
      chats += 1;
      const response = new Response("{}");
      response.body.getReader();
      return response;
    },
  });
  await assert.rejects(locked.behest.ask("Hi!"), fails("invalid_response"));
  assert.equal(chats, 1);
});

test("redirects are not followed", LIMIT, async () => {
  const seen = [];
  const elsewhere = await listen(createServer((request, response) => {
    seen.push(request.url);
    response.end("{}");
  }));
  const gateway = await listen(createServer((_request, response) => {
    response.writeHead(307, { location: elsewhere.url }).end();
  }));
  const behest = createClient({
    behestUrl: gateway.url,
    tokenUrl: `${gateway.url}/token`,
    getAccessToken: () => "opaque",
  });
  await assert.rejects(behest.ask("Hi!"), /redirect/);
  assert.deepEqual(seen, []);
  for (const server of [elsewhere, gateway]) await server.stop();
});

test("a wait beyond the call's limit is told at once; one of 26 digits is no `at once`", LIMIT, async () => {
  for (const wait of ["20", "99999999999999999999999999"]) {
    const { world, behest } = setUp(() => lab.json(429, "{}", { "retry-after": wait }));
    await assert.rejects(behest.ask("Hi!", { timeoutMs: 10_000 }), (error) => fails("rate_limited")(error) && error.retryAfterMs >= 20_000);
    assert.equal(world.chats, 1);
  }
});

test("a base URL is taken in each of its spellings, and refused where a parser would guess", LIMIT, async () => {
  const place = "https://gateway.example";
  for (const behestUrl of [place, `${place}/`, `${place}/v1`, `${place}/v1/`, "HTTPS://Gateway.EXAMPLE/v1"]) {
    const { world, behest } = setUp(undefined, { behestUrl });
    await behest.ask("Hi!");
    assert.deepEqual(sent(world).map(({ url }) => url), [`${place}/v1/chat/completions`], behestUrl);
  }
  const guesses = ["gateway.example", "//gateway.example", "https:gateway.example", "https:///gateway.example", "https://a b", "https://a\\b"];
  const others = ["ftp://gateway.example", "https://u:p@gateway.example", `${place}/%zz`, `${place}/?a`, `${place}/#a`];
  for (const behestUrl of [...guesses, ...others]) {
    const named = (error) => fails("invalid_config")(error) && /behestUrl/.test(error.message);
    assert.throws(() => setUp(undefined, { behestUrl }), named, behestUrl);
  }
});

test("the publishable key goes to the token function alone, with the first request, too", LIMIT, async () => {
  const { world, behest } = setUp(undefined, { apiKey: "sb_publishable_x" });
  await behest.ask("Hi!");
  const keys = world.requests.map((request) => [lab.isMint(request), request.headers.apikey]);
  assert.deepEqual(keys, [[true, "sb_publishable_x"], [false, undefined]]);
});

test("limits of any size are limits", LIMIT, async () => {
  for (const timeoutMs of [2 ** 31, 2 ** 40, Infinity]) {
    const { behest } = setUp(undefined, { timeouts: { idleMs: timeoutMs, totalMs: timeoutMs } });
    assert.equal(await behest.ask("Hi!", { timeoutMs }), "Hello");
  }
});

test("what took too long names the option that sets the limit", LIMIT, async () => {
  const never = () => new Promise(() => {});
  const pings = () => lab.stream([lab.delta("Hi"), ...Array.from({ length: 100 }, () => [": ping\n\n", lab.wait(5)]).flat(), lab.STALL]);
  const cases = [
    ["sessionMs", "session_timeout", { getAccessToken: never }],
    ["tokenMs", "timeout", {}, lab.hang, lab.hang],
    ["firstByteMs", "timeout", {}, lab.hang],
    ["idleMs", "stalled", {}, () => lab.stream([lab.delta("Hi"), lab.STALL])],
    ["contentMs", "stalled", {}, pings],
    ["totalMs", "timeout", {}, lab.hang],
  ];
  for (const [option, reason, more, gateway, token] of cases) {
    const { world, behest } = setUp(gateway, { timeouts: { [option]: 30 }, maxRetries: 0, ...more });
    if (token) world.serve(token);
    const reading = async () => {
      for await (const _ of (await streamOf(behest)).text());
    };
    const named = new RegExp(`[ (]timeouts\\.${option}\\b`);
    await assert.rejects(reading(), (error) => fails(reason)(error) && named.test(error.message), option);
  }
});

test("limits are limits in a page whose timers are all late, as in the background", LIMIT, async (t) => {
  const [now, set] = [performance.now.bind(performance), setTimeout];
  let [passed, timers] = [0, 0];
  t.mock.method(performance, "now", () => now() + passed);
  const late = (then) => () => {
    passed += 60_000;
    then();
  };
  // One a minute. None of them all is an end to a call that never ends.
  t.mock.method(globalThis, "setTimeout", (then) => ++timers < 20 && set(late(then)));
  const { behest } = setUp(() => lab.hang(), { timeouts: { firstByteMs: 1_000 } });
  await assert.rejects(behest.ask("Hi!"), fails("timeout"));
});

test("a mint that drips is bounded as a whole", LIMIT, async () => {
  const { world, behest } = setUp(undefined, { timeouts: { tokenMs: 200 } });
  world.serve(() => lab.stream([...'{"token":"t","ttl":900}'].flatMap((letter) => [letter, lab.wait(40)])));
  await assert.rejects(behest.ask("Hi!"), (error) => fails("timeout")(error) && /200 ms/.test(error.message));
});

test("a stream that only pings is alive, but not for ever", LIMIT, async () => {
  const pings = (count) => Array.from({ length: count }, () => [": ping\n\n", lab.wait(20)]).flat();
  const alive = setUp(() => lab.stream([...pings(10), lab.delta("Hi"), lab.finish()]), { timeouts: { idleMs: 100, contentMs: 5000 } });
  const stream = await streamOf(alive.behest);
  for await (const _ of stream);
  assert.deepEqual([stream.content, stream.outcome], ["Hi", "complete"]);
  const endless = setUp(() => lab.stream(pings(1000)), { timeouts: { idleMs: 1000, contentMs: 100 } });
  const silent = await streamOf(endless.behest);
  await assert.rejects(silent.next(), fails("stalled"));
  assert.equal(silent.outcome, "stalled");
});

test("a stream that is silent or reset after its finish_reason is complete", LIMIT, async () => {
  for (const last of [lab.STALL, lab.CUT]) {
    const { behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.finish(), last]), { timeouts: { idleMs: 50 } });
    const stream = await streamOf(behest);
    for await (const _ of stream);
    assert.deepEqual([stream.content, stream.outcome, stream.error], ["Hi", "complete", null]);
  }
});

test("leaving the texts cancels, before and during a read", LIMIT, async () => {
  for (const during of [false, true]) {
    const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
    const stream = await streamOf(behest);
    const texts = stream.text();
    if (during) await texts.next();
    const pending = during ? texts.next() : undefined;
    await texts.return();
    assert.deepEqual(await pending, during ? { done: true, value: undefined } : undefined);
    assert.equal(stream.outcome, "aborted");
    assert.equal(world.requests.at(-1).cancelled, true);
  }
});

test("texts are left as an AsyncGenerator is, which is their type, and what is known of the call stays", LIMIT, async () => {
  const reason = new Error("enough");
  const ways = {
    thrown: (texts) => assert.rejects(texts.throw(reason), reason),
    // Where there is `await using`.
    disposed: async (texts) => assert.equal(await texts[Symbol.asyncDispose](), undefined),
  };
  for (const [name, leave] of Object.entries(ways)) {
    if (name === "disposed" && !Symbol.asyncDispose) continue;
    const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
    const stream = await streamOf(behest);
    const texts = stream.text();
    await texts.next();
    const { sessionId } = stream;
    await leave(texts);
    assert.deepEqual([stream.outcome, stream.sessionId, stream.trace.sessionId], ["aborted", sessionId, sessionId], name);
    assert.equal(world.requests.at(-1).cancelled, true, name);
  }
});

test("a signal of another kind is heard, and its reason kept", LIMIT, async () => {
  const target = new EventTarget();
  const signal = Object.assign(Object.create(null), {
    aborted: false,
    reason: undefined,
    addEventListener: (...given) => target.addEventListener(...given),
    removeEventListener: (...given) => target.removeEventListener(...given),
  });
  const { world, behest } = setUp(() => lab.hang());
  const call = behest.ask("Hi!", { signal });
  call.catch(() => {});
  await until(() => world.chats === 1);
  Object.assign(signal, { aborted: true, reason: "enough" });
  target.dispatchEvent(new Event("abort"));
  await assert.rejects(call, (error) => fails("aborted")(error) && error.cause === "enough");
  assert.equal(world.requests.at(-1).cancelled, true);
});

test("a stream's chunks keep their order and state within one piece from the network", LIMIT, async () => {
  const call = (piece) => lab.event({ choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...piece }] } }] });
  const piece = [
    lab.delta("a"),
    call({ id: "c", function: { name: "f", arguments: "{" } }),
    lab.delta("b"),
    call({ function: { arguments: "}" } }),
    lab.finish("tool_calls"),
    lab.event("[DONE]"),
  ].join("");
  const { behest } = setUp(() => lab.stream([piece]));
  const stream = await streamOf(behest);
  const states = [];
  for await (const _ of stream) {
    states.push([stream.content, stream.toolCalls[0]?.function.arguments ?? null, stream.finishReason, stream.outcome]);
  }
  assert.deepEqual(states, [
    ["a", null, null, null],
    ["a", "{", null, null],
    ["ab", "{", null, null],
    ["ab", "{}", null, null],
    ["ab", "{}", "tool_calls", null],
  ]);
  assert.equal(stream.outcome, "tool_calls");
  const half = await streamOf(behest);
  await half.next();
  half.abort();
  assert.deepEqual([half.content, half.outcome, (await half.next()).done], ["a", "aborted", true]);
});

test("odd chunks are read, and none of them is an error", LIMIT, async () => {
  const odd = [
    'data: {"choices":{"0":1}}\n\n',
    'data: {"error":"","choices":[]}\n\ndata: {"error":{},"choices":[]}\n\ndata: {"error":null}\n\n',
    'data: {\ndata: "choices": [\ndata: {"index":0,\ndata: "delta":{"content":"pretty"}}]}\n\n',
    'data: {"\\u0063hoices":[{"delta":{"content":" escaped"}}]}\n\n',
    'data: {"choices":[],"choices":[{"delta":{"content":"no","content":" twice"}}]}\n\n',
    'data: {"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":" first"}}]}\n\n',
    'data: {"choices":[],"usage":{"prompt_tokens":1e30,"completion_tokens":123456789012345678901234567890}}\n\n',
    'data: {"choices":[{"delta":{"content":" \\ud83d"}}]}\n\ndata: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n',
  ];
  for (const read of ["text", "chunks"]) {
    const { behest } = setUp(() => lab.stream([...odd, lab.finish(), lab.event("[DONE]")]));
    const stream = await streamOf(behest);
    let text = "";
    if (read === "text") for await (const piece of stream.text()) text += piece;
    else for await (const _ of stream);
    assert.equal(stream.content, "pretty escaped twice first \u{1F600}", read);
    if (read === "text") assert.equal(text, stream.content);
    assert.deepEqual([stream.outcome, stream.usage.prompt_tokens], ["complete", 1e30]);
  }
});

test("finish_reason error is a failure, a BOM before JSON is none, null content of a tool call is said", LIMIT, async () => {
  const failing = setUp(() => lab.stream([lab.delta("Hi"), lab.finish("error")]));
  const stream = await streamOf(failing.behest);
  await assert.rejects(async () => {
    for await (const _ of stream);
  }, fails("server_error"));
  assert.equal(stream.outcome, "failed");
  const bom = setUp(() => lab.json(200, '\ufeff{"choices":[{"message":{"content":"Hi"}}]}'));
  assert.equal(await bom.behest.ask("Hi!"), "Hi");
  const tools = setUp(() => lab.json(200, { choices: [{ message: { content: null, tool_calls: [{}] } }] }));
  await assert.rejects(tools.behest.ask("Hi!"), /call of tools/);
});

test("an error shows no credential that a server echoes, and keeps plain words", LIMIT, async () => {
  const session = lab.accessToken("user-1");
  const echo = ({ headers }) => lab.json(403, { error: { message: `no entry for ${headers.authorization}`, code: headers.authorization } });
  const { behest } = setUp(echo);
  const error = await behest.ask("Hi!").catch((error) => error);
  assert.doesNotMatch(`${error.message}${JSON.stringify(error)}`, /token-1\b/);
  const refused = setUp();
  refused.world.serve(({ headers }) => lab.json(401, { message: `bad ${headers.authorization}` }));
  const shown = await refused.behest.ask("Hi!").catch((error) => `${error.message}${JSON.stringify(error)}`);
  assert.ok(!shown.includes(session) && shown.includes("[credential]"), shown);
  for (const [body, said] of [["Unauthorized: no plan", /no plan/], ['{"detail":"Not enough"}', /Not enough/], ['{"detail":[{"loc":["body"],"msg":"field required"}]}', /field required/]]) {
    const plain = setUp(() => lab.json(400, body));
    await assert.rejects(plain.behest.ask("Hi!"), said);
  }
});

test("no cause of an error keeps the bytes of a token reply that Node could not read", LIMIT, async () => {
  const server = await listen(net.createServer((socket) => {
    const body = '{"token":"a-token-of-somebody","ttl":900}';
    socket.on("error", () => {}).resume().end(`HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 7\r\n\r\n${body}`);
  }));
  const behest = createClient({ behestUrl: server.url, tokenUrl: `${server.url}/token`, getAccessToken: () => "opaque", maxRetries: 0 });
  const error = await behest.ask("Hi!").catch((error) => error);
  assert.ok(fails("network")(error) && error.cause);
  assert.doesNotMatch(inspect(error, { depth: null, showHidden: true }), /a-token-of-somebody/);
  await server.stop();
});

test("wrong callers are told so in our own errors", LIMIT, async () => {
  const { world, behest } = setUp();
  const cyclic = [{ role: "user" }];
  cyclic[0].content = cyclic;
  for (const [call, reason] of [
    [() => behest.chat.completions.create({ messages: cyclic }), "invalid_request"],
    [() => behest.chat.completions.create({ messages: [1n] }), "invalid_request"],
    [() => behest.ask("Hi!", { signal: {} }), "invalid_request"],
    [() => behest.ask("Hi!", 7), "invalid_config"],
    [() => behest.conversation(null).ask("Hi!"), "invalid_config"],
  ]) {
    await assert.rejects(call, fails(reason));
  }
  assert.equal(await behest.ask("Hi!", null), "Hello");
  assert.equal((await behest.chat.completions.create({ messages, model: undefined })).id, "c1");
  assert.equal(JSON.parse(world.requests.at(-1).body).model, "default");
  const supabase = { supabaseUrl: urls.supabaseUrl, auth: {} };
  const key = (role) => lab.accessToken("x", { role });
  for (const options of [
    undefined,
    null,
    { ...urls },
    { ...urls, supabase, getAccessToken: () => null },
    { ...urls, getAccessToken: () => null, behestUrl: "http://[::1" },
    { ...urls, getAccessToken: () => null, behestUrl: "https://g.example/%zz" },
    { ...urls, getAccessToken: () => null, behestUrl: "https://g.example:99999" },
    { ...urls, getAccessToken: () => null, apiKey: "sk-proj-1" },
    { ...urls, getAccessToken: () => null, apiKey: key("service_role") },
  ]) {
    assert.throws(() => createClient(options), fails("invalid_config"));
  }
  createClient({ ...urls, getAccessToken: () => null, behestUrl: "HTTP://g.example", apiKey: key("anon") });
  for (const claims of ["7", "null", "[]", '"x"']) {
    assert.throws(() => decodeToken(`x.${btoa(claims).replace(/=/g, "")}.x`), fails("malformed_token"));
  }
});

test("an Error whose message is no string harms only its own call", LIMIT, async () => {
  const other = setUp();
  await other.behest.warm();
  for (const message of [7, null, {}, Symbol("s")]) {
    const { behest } = setUp(undefined, {
      getAccessToken: async () => {
        throw Object.assign(new Error(), { message });
      },
    });
    await assert.rejects(behest.ask("Hi!"), (error) => fails("session_failed")(error) && error.cause instanceof Error);
  }
  assert.equal(await other.behest.ask("Hi!"), "Hello");
  assert.equal(other.world.mints, 1, "the module is still the same one");
});

test("without WebAssembly the error says so", LIMIT, async () => {
  const { WebAssembly } = globalThis;
  const fresh = await installed.load("node.js", "?fresh");
  try {
    delete globalThis.WebAssembly;
    const behest = fresh.createClient({ ...urls, getAccessToken: () => null });
    await assert.rejects(behest.ask("Hi!"), fails("wasm_load_failed"));
  } finally {
    globalThis.WebAssembly = WebAssembly;
  }
});

test("an aborted first call leaves one engine, whose streams hear of a sign-out", LIMIT, async () => {
  const { world, behest } = setUp(() => lab.stream([lab.delta("Hi"), lab.STALL]));
  await assert.rejects(behest.ask("Hi!", { signal: AbortSignal.abort() }), fails("aborted"));
  const stream = await streamOf(behest);
  await stream.next();
  const pending = stream.next();
  pending.catch(() => {});
  behest.sessionChanged(null);
  await assert.rejects(pending, fails("user_changed"));
  assert.deepEqual([stream.outcome, stream.content], ["failed", "Hi"]);
  assert.equal(world.requests.at(-1).cancelled, true);
});

test("a signal that cannot be left, or only with an error, keeps no call waiting", LIMIT, async () => {
  const signals = [
    { aborted: false, addEventListener() {} },
    {
      aborted: false,
      addEventListener() {},
      removeEventListener() {
        throw new Error("mine");
      },
    },
  ];
  for (const signal of signals) {
    const { behest } = setUp();
    // Together, so that one answer settles both of them.
    assert.deepEqual(await Promise.all([behest.ask("Hi!", { signal }), behest.ask("Hi!")]), ["Hello", "Hello"]);
    const stream = await streamOf(behest, { signal });
    for await (const _ of stream);
    assert.equal(stream.outcome, "complete");
  }
});

test("more retries than anybody counts are not none, for a call and for a client", LIMIT, async () => {
  for (const maxRetries of [Infinity, 2 ** 32]) {
    const passing = (_request, world) => (world.chats < 4 ? lab.json(503, "{}", { "retry-after": "0" }) : lab.json(200, { choices: [{ message: { content: "at last" } }] }));
    assert.equal(await setUp(passing).behest.ask("Hi!", { maxRetries }), "at last");
    assert.equal(await setUp(passing, { maxRetries: 2 ** 32 }).behest.ask("Hi!"), "at last");
  }
});

test("what is the first answer does not depend on how a stream is read", LIMIT, async () => {
  const pieces = [
    ...["a", "b", "c"].map((content) => lab.event({ choices: ["x", { delta: { content } }] })),
    ...["d", "e", "f"].map((content) => lab.event({ choices: [{ index: false, delta: { content: "-" } }, { index: 0, delta: { content } }] })),
    ...["g", "h", "i"].map((content) => lab.event({ choices: [[], { index: null, delta: { content } }] })),
    lab.event({ choices: [], usage: { total_tokens: 3 } }),
    lab.event({ choices: [], usage: "many" }) + lab.event({ choices: [], usage: [] }) + lab.event({ choices: [], usage: false }),
    lab.finish(),
  ];
  for (const read of ["text", "chunks"]) {
    for (const pieced of [pieces, [pieces.join("")]]) {
      const { behest } = setUp(() => lab.stream(pieced));
      const stream = await streamOf(behest);
      for await (const _ of read === "text" ? stream.text() : stream);
      assert.deepEqual([stream.content, stream.usage, stream.outcome], ["abcdefghi", { total_tokens: 3 }, "complete"], read);
    }
  }
});

test("an error is one in whatever shape it is reported, in a stream and in place of an answer", LIMIT, async () => {
  const reports = [
    { object: "error", message: "out of memory", type: "InternalServerError", param: null, code: 500 },
    { error: true, message: "out of memory" },
    { error: 500, message: "out of memory" },
    { error: ["out of memory"], message: "out of memory" },
  ];
  for (const report of reports) {
    const { behest } = setUp(({ body }) => (body.includes('"stream":true') ? lab.stream([lab.event(report), lab.event("[DONE]")]) : lab.json(200, report)));
    const stream = await streamOf(behest);
    await assert.rejects(stream.next(), (error) => fails("server_error")(error) && /out of memory/.test(error.message));
    assert.equal(stream.outcome, "failed");
    await assert.rejects(behest.ask("Hi!"), /out of memory/);
  }
  const { behest } = setUp(() => lab.stream([lab.delta("Hi"), "event: error\ndata:\n\n", lab.event("[DONE]")]));
  const silent = await streamOf(behest);
  await silent.next();
  await assert.rejects(silent.next(), fails("server_error"));
});

test("odd chunks harm the AI SDK's transport no more than the client", LIMIT, async () => {
  const { BehestChatTransport } = await installed.load("ai-sdk.js");
  const change = (delta) => lab.event({ choices: [{ index: 0, delta }] });
  const tool = (index, id, text) => change({ tool_calls: [{ index, id, function: { name: `f-${id}`, arguments: text } }] });
  const { behest } = setUp(() =>
    lab.stream([
      lab.event({ choices: { 0: 1 } }) + lab.event({ choices: [null, "x"] }) + lab.event({ choices: [{ delta: "words" }] }),
      change({ content: [{ type: "text", text: "part" }] }) + change({ reasoning: { text: "part" } }) + change({ tool_calls: [null] }),
      change({ tool_calls: {} }) + lab.delta("Hi"),
      // Zero for every call, and counted from one.
      tool(0, "a", '{"a":') + tool(0, undefined, "1}") + tool(0, "b", '{"b":2}') + tool(2, "c", '{"c":3}'),
      lab.finish("tool_calls"),
    ]),
  );
  const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: "Hi!" }] }];
  const [deltas, inputs] = [{}, {}];
  for await (const { type, delta, toolCallId, inputTextDelta, input } of await new BehestChatTransport(behest).sendMessages({ chatId: "c", messages })) {
    if (type === "text-delta" || type === "reasoning-delta") deltas[type] = (deltas[type] ?? "") + delta;
    if (type === "tool-input-delta") inputs[toolCallId] = (inputs[toolCallId] ?? "") + inputTextDelta;
    if (type === "tool-input-available") assert.deepEqual(JSON.parse(inputs[toolCallId]), input);
  }
  assert.deepEqual(deltas, { "text-delta": "partHi" });
  assert.deepEqual(inputs, { a: '{"a":1}', b: '{"b":2}', c: '{"c":3}' });
});

test("a supabase-js client that signs nobody in is told from one that does", LIMIT, () => {
  // One with an `accessToken` of its own, as for other providers of identity.
  const auth = new Proxy({}, {
    get(_target, name) {
      throw new Error(`configured with the accessToken option, accessing supabase.auth.${String(name)} is not possible`);
    },
  });
  for (const supabase of [{ supabaseUrl: urls.supabaseUrl, auth }, { supabaseUrl: urls.supabaseUrl, auth: {} }]) {
    assert.throws(() => createClient({ ...urls, supabase }), (error) => fails("invalid_config")(error) && /give getAccessToken/.test(error.message));
  }
});

test("a crowd of conversations is answered", LIMIT, async () => {
  // Where each costs what all the others do, this is no question of a minute.
  const answer = (request) => (lab.isMint(request) ? '{"token":"t","ttl":900}' : '{"choices":[{"message":{"content":"Hello"}}]}');
  const behest = createClient({ ...urls, fetch: async (request) => new Response(answer(request)), getAccessToken: () => lab.accessToken("user-1") });
  const conversations = Array.from({ length: 15_000 }, () => behest.conversation());
  const answers = await Promise.all(conversations.map((conversation) => conversation.ask("Hi!")));
  assert.ok(answers.every((answer) => answer === "Hello"));
});
