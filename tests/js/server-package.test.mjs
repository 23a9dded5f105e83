// What the shared cases cannot say about `behest-client/server`: its JavaScript options, and what happens when things break.
import assert from "node:assert/strict";
import { createPrivateKey, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { published, token, variables } from "./server/tokens.mjs";
import { installPackage } from "./support/package.mjs";

const SUPABASE = "https://ref.supabase.co";
const PAGE = "https://app.example.com";
const ENV = {
  SUPABASE_URL: SUPABASE,
  SUPABASE_PUBLISHABLE_KEY: "sb_publishable_default",
  SUPABASE_SECRET_KEYS: '{"default":"sb_secret_default"}',
  BEHEST_KEY: "behest_sk_live_0123456789abcdef",
  BEHEST_BASE_URL: "https://amber.behest.app",
  CORS_ORIGIN: PAGE,
  KV: { get() {} },
};

let installed, server;
/** Requests to other servers, and how they are answered. */
let calls, upstream;

before(async () => {
  installed = await installPackage();
  server = await installed.load("server.js");
});
after(() => installed?.remove());

beforeEach((t) => {
  calls = [];
  upstream = async (url, { body }) => {
    if (url.endsWith("jwks.json")) return Response.json(published);
    if (url.includes("/rest/v1/")) return Response.json({ plan: "pro" });
    const order = JSON.parse(new TextDecoder().decode(body));
    return Response.json({ jwt: `tok-${order.tier}`, ttl: order.ttl, session_id: order.session_id });
  };
  t.mock.method(globalThis, "fetch", (url, init) => {
    const { signal, redirect } = init;
    calls.push({ url, headers: Object.fromEntries(new Headers(init.headers)), signal, redirect });
    return upstream(url, init);
  });
  for (const level of ["log", "warn", "error"]) t.mock.method(console, level, () => {});
});

const request = (headers = {}, spec = {}, supabase = SUPABASE) =>
  new Request("https://function/", {
    method: "POST",
    headers: { origin: PAGE, authorization: `Bearer ${token(spec, supabase)}`, ...headers },
  });

/** A project whose keys nothing here has fetched yet. */
const newProject = () => {
  const SUPABASE_URL = `https://${randomUUID()}.supabase.co`;
  return { env: { ...ENV, SUPABASE_URL }, request: () => request({}, {}, SUPABASE_URL) };
};

const answerOf = async (handle, headers) => answer(await handle(new Request("https://function/", { headers })));

const answer = async (response) => [response.status, (await response.json()).error?.code];

test("missing settings are one error, at once", () => {
  assert.throws(
    () => server.createTokenEndpoint({ KV: {} }),
    (error) =>
      error instanceof server.BehestError &&
      error.reason === "misconfigured" &&
      error.message.endsWith("Correct them, and start again.") &&
      ["SUPABASE_URL", "BEHEST_KEY", "CORS_ORIGIN"].every((name) => error.message.includes(name)),
  );
  assert.throws(() => server.createTokenEndpoint(ENV, { policy: "pro" }), /option policy/);
  assert.throws(() => server.withSupabase({ env: ENV, auth: "secrets" }, () => {}), /secrets/);
  assert.throws(() => server.withSupabase({ env: ENV, auth: "secret:x" }, () => {}), /secret:x/);
});

// Natively it is `tests/server/configuration.rs` that holds these words.
test("what is wrong with a setting is told in the module's words and without the setting, whatever the host says of it", () => {
  const told = (changes) => {
    try {
      server.createTokenEndpoint({ ...ENV, ...changes });
    } catch ({ message }) {
      return message;
    }
    assert.fail("the settings are wrong");
  };
  for (const SUPABASE_URL of ["sb_secret_pasted", "https://[sb_secret_pasted", "https://"]) {
    const message = told({ SUPABASE_URL });
    assert.match(message, /SUPABASE_URL is not a URL: it must begin with https:\/\/ and a host \(/);
    assert.doesNotMatch(message, /pasted|Invalid URL/);
  }
  for (const end of ["?", "#", "?a=b"]) assert.match(told({ SUPABASE_URL: `${SUPABASE}${end}` }), /must not have a query or fragment/);
  assert.doesNotMatch(told({ CORS_ORIGIN: "sb_secret_pasted" }), /pasted/);
  assert.match(told({ SUPABASE_SECRET_KEYS: '{"default":"sb_publishable_default"}' }), /SUPABASE_SECRET_KEYS holds a publishable key/);
});

test("an option that is unknown or of the wrong type is an error at the start, with every other", () => {
  const wrong = {
    checkSesion: true,
    allowAnonymus: false,
    CHECK_SESSION: true,
    leewaySecs: 30,
    checkSession: "true",
    sessionLeewaySecs: 1.5,
    sessionRoles: [7],
    supabaseJwks: 7,
    supabaseUrl: new URL(SUPABASE),
  };
  for (const make of [
    (options) => server.createTokenEndpoint(ENV, options),
    (options) => server.withSupabase({ env: ENV, ...options }, () => {}),
  ]) {
    for (const [name, value] of Object.entries(wrong)) {
      assert.throws(() => make({ [name]: value }), { reason: "misconfigured" }, name);
    }
    assert.throws(() => make({ checkSesion: true, allowAnonymous: 1 }), /no option checkSesion.*option allowAnonymous must be true or false/);
    assert.doesNotThrow(() => make({ checkSession: undefined, allowAnonymous: null }));
  }
  assert.throws(() => server.withSupabase({ env: ENV, policy: () => ({}) }, () => {}), /no option policy/);
  assert.throws(() => server.withSupabase({ env: ENV, cors: { headers: {} } }, () => {}), /option cors must be a string/);
  assert.throws(() => server.withSupabase({ env: ENV, cors: "off" }, () => {}), /CORS must be `disabled`/);
  assert.throws(() => server.createTokenEndpoint(ENV, { cors: "disabled" }), /CORS is for guards/);
  assert.throws(() => server.withSupabase({ env: ENV, audience: "x" }, () => {}), /no option audience: use sessionAudiences/);
  server.withSupabase({ env: ENV, allow: "always" }, () => {});
  assert.match(console.warn.mock.calls.at(-1).arguments[0], /option allow is deprecated/);
  assert.throws(() => server.withSupabase({ env: ENV, auth: 7 }, () => {}), /option auth/);
  for (const options of [null, 7, "x", []]) assert.throws(() => server.createTokenEndpoint(ENV, options), /options must be an object/);
});

test("every setting can be given as an option, which wins over the variable", async () => {
  const { KV, ...variables } = ENV;
  const name = (variable) => variable.toLowerCase().replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  const options = Object.fromEntries(Object.entries(variables).map(([variable, value]) => [name(variable), value]));
  const usual = { ...options, supabaseSecretKeys: JSON.parse(variables.SUPABASE_SECRET_KEYS), corsOrigin: [PAGE], behestTtl: 120 };
  const handle = server.createTokenEndpoint({ SUPABASE_URL: "https://other.supabase.co", BEHEST_TTL: "600" }, usual);
  const bundle = await (await handle(request())).json();
  assert.deepEqual([bundle.token, bundle.ttl], ["tok-2", 120]);
  const strict = server.createTokenEndpoint(ENV, { sessionRoles: "member", sessionLeewaySecs: 0 });
  assert.deepEqual(await answer(await strict(request())), [401, "role_refused"]);
  assert.deepEqual(await answer(await strict(request({}, { claims: { exp: "now-1" } }))), [401, "token_expired"]);
});

test("without an argument the variables of the process are the settings", async (t) => {
  for (const [name, value] of Object.entries(ENV)) {
    if (typeof value !== "string") continue;
    process.env[name] = value;
    t.after(() => delete process.env[name]);
  }
  assert.equal((await server.createTokenEndpoint()(request())).status, 200);
});

test("a policy decides", async () => {
  const seen = [];
  const handle = server.createTokenEndpoint(ENV, {
    policy: async (user) => {
      seen.push(user.sub);
      return { tier: 3, ttlSecs: 120 };
    },
  });
  const bundle = await (await handle(request())).json();
  assert.deepEqual([bundle.token, bundle.ttl, seen.length], ["tok-3", 120, 1]);
  assert.ok(!calls.some(({ url }) => url.includes("/rest/v1/")), "the policy replaces the lookup");
});

test("what a policy throws or answers wrongly is refused, and its words stay here", async () => {
  const cases = [
    [() => { throw { reason: "forbidden", message: "blocked" }; }, 403, "forbidden"],
    [async () => { throw { reason: "quota_exceeded" }; }, 402, "quota_exceeded"],
    [() => { throw { reason: "rate_limited" }; }, 429, "rate_limited"],
    [() => { throw new Error("secret detail"); }, 500, "server_error"],
    [() => { throw { reason: "token_expired", message: "secret detail" }; }, 500, "server_error"],
    [() => { throw undefined; }, 500, "server_error"],
    [() => ({ tier: "3" }), 500, "misconfigured"],
    [() => ({ tier: 1.5 }), 500, "misconfigured"],
    [() => ({ ttlSecs: 5 }), 500, "misconfigured"],
    [() => undefined, 500, "misconfigured"],
  ];
  for (const [policy, status, code] of cases) {
    const response = await server.createTokenEndpoint(ENV, { policy })(request());
    assert.equal(response.headers.get("access-control-allow-origin"), PAGE);
    const text = await response.text();
    assert.deepEqual([response.status, JSON.parse(text).error.code], [status, code], `${policy}`);
    assert.doesNotMatch(text, /secret detail/);
  }
});

test("requests that begin together fetch the key set once", async () => {
  const { env, request } = newProject();
  const handle = server.createTokenEndpoint(env, { policy: () => ({}) });
  const fetched = () => calls.filter(({ url }) => url.endsWith("jwks.json")).length;
  const answers = await Promise.all(Array.from({ length: 200 }, () => handle(request())));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(fetched(), 1);
  assert.equal((await handle(request())).status, 200);
  assert.equal(fetched(), 1, "what was found out serves the next");
});

test("the session that comes again is not verified again; other claims under its signature are", async (t) => {
  const { env } = newProject();
  const handle = server.createTokenEndpoint(env, { policy: () => ({}) });
  const verify = t.mock.method(crypto.subtle, "verify");
  const call = (session) => handle(new Request("https://function/", { method: "POST", headers: { authorization: `Bearer ${session}` } }));
  const session = token({}, env.SUPABASE_URL);
  for (let turn = 0; turn < 3; turn += 1) assert.equal((await call(session)).status, 200);
  assert.equal(verify.mock.callCount(), 1);
  const [header, claims, signature] = session.split(".");
  const other = JSON.stringify({ ...JSON.parse(Buffer.from(claims, "base64url")), sub: "other" });
  const forged = `${header}.${Buffer.from(other).toString("base64url")}.${signature}`;
  assert.deepEqual(await answer(await call(forged)), [401, "invalid_signature"]);
  assert.equal((await call(token({ claims: { sub: "another" } }, env.SUPABASE_URL))).status, 200);
  assert.equal(verify.mock.callCount(), 3);
});

test("answers are read to their limit, whatever they state and however they come", async () => {
  const { env, request } = newProject();
  const usual = upstream;
  const handle = server.createTokenEndpoint(env, { policy: () => ({}) });
  const jwt = { jwt: "tok-1", ttl: 900, session_id: "s" };
  const text = (more = {}) => new TextEncoder().encode(JSON.stringify({ ...jwt, ...more }));
  const pieces = (bytes, options) =>
    new ReadableStream({
      ...options,
      start(controller) {
        for (let at = 0; at < bytes.length; at += 1000) controller.enqueue(bytes.slice(at, at + 1000));
        controller.close();
      },
    });
  const minted = async (body, headers = {}) => {
    upstream = async (url, init) => (url.endsWith("/mint") ? new Response(body, { headers }) : usual(url, init));
    const response = await handle(request());
    await response.json();
    return response.status;
  };
  const long = text({ pad: "x".repeat(20_000) });
  const huge = text({ pad: "x".repeat(2_000_000) });
  for (const options of [{}, { type: "bytes" }]) {
    assert.equal(await minted(pieces(text(), options)), 200);
    assert.equal(await minted(pieces(long, options)), 200, "in many pieces");
    assert.equal(await minted(pieces(long, options), { "content-length": "10", "content-encoding": "gzip" }), 200);
    assert.notEqual(await minted(pieces(huge, options)), 200);
    assert.notEqual(await minted(pieces(text(), options), { "content-length": "2000000" }), 200);
  }
  assert.equal(await minted(long, { "content-length": `${long.length}` }), 200);
  assert.notEqual(await minted(huge, { "content-length": "10" }), 200, "even if it states another length");
});

test("an answer in chunks that states a length is read to its limit", async () => {
  const { env, request } = newProject();
  const usual = upstream;
  const handle = server.createTokenEndpoint(env, { policy: () => ({}) });
  let sent = 0;
  const pull = (stream) => ((sent += 65_536) > 5_000_000 ? stream.close() : stream.enqueue(new Uint8Array(65_536)));
  const headers = { "content-length": "10", "transfer-encoding": "chunked" };
  upstream = async (url, init) => (url.endsWith("/mint") ? new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), { headers }) : usual(url, init));
  assert.deepEqual(await answer(await handle(request())), [503, "mint_unavailable"]);
  assert.ok(sent <= 64 * 1024 + 2 * 65_536, `${sent} bytes were read`);
});

test("what is made for each request is kept no longer than the request", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = async () => {
    runInNewContext("gc")();
    for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
  };
  let memory;
  t.mock.method(WebAssembly, "Instance", class extends WebAssembly.Instance {
    constructor(...args) {
      super(...args);
      memory = Object.values(this.exports).find((exported) => exported instanceof WebAssembly.Memory);
    }
  });
  const { serverModule } = await installed.load("server-core.js");
  const { default: bytes } = await installed.load("dist/server-bytes.js");
  const fresh = serverModule(() => new WebAssembly.Module(bytes));
  const { env, request } = newProject();
  const policies = [];
  const ways = {
    endpoint() {
      const policy = () => ({ tier: 1 });
      policies.push(new WeakRef(policy));
      return fresh.createTokenEndpoint(env, { policy })(request());
    },
    guard: () => fresh.withSupabase({ env }, () => new Response())(request()),
    context: () => fresh.createSupabaseContext(request(), { env: { ...env } }),
  };
  for (const [name, call] of Object.entries(ways)) {
    const hundred = async () => {
      for (let turn = 0; turn < 100; turn += 1) await call();
      await collect();
    };
    await hundred();
    await hundred();
    const before = memory.buffer.byteLength;
    for (let turn = 0; turn < 5; turn += 1) await hundred();
    assert.equal(memory.buffer.byteLength, before, `${name}: the module's memory`);
  }
  const kept = policies.filter((policy) => policy.deref()).length;
  assert.ok(kept < policies.length / 10, `${kept} of ${policies.length} policies are kept`);
});

test("a request whose fetch never settles harms no other", async () => {
  const { env, request } = newProject();
  const usual = upstream;
  const handle = server.createTokenEndpoint(env, { policy: () => ({}) });
  let stuck;
  await new Promise((begun) => {
    upstream = () => new Promise(() => begun());
    stuck = handle(request());
  });
  upstream = usual;
  assert.equal((await handle(request())).status, 200);
  // Its deadline of 5 s passes: it cancels what it began, and answers with what the other has found out.
  assert.equal((await stuck).status, 200);
  assert.equal(calls[0].signal.aborted, true);
});

test("whatever stops the module is answered 500 with CORS headers, and the next request is served", async (t) => {
  const { env, request } = newProject();
  const usual = upstream;
  const handle = server.createTokenEndpoint(env, { policy: () => ({ tier: 1 }) });
  let waiting;
  const release = await new Promise((begun) => {
    upstream = () => new Promise((resolve) => begun(() => resolve(Response.json(published))));
    waiting = handle(request());
  });
  t.mock.method(crypto, "randomUUID", () => { throw new Error("what the host throws goes through the module") }, { times: 1 });
  const refused = await handle(request());
  assert.deepEqual([...(await answer(refused)), refused.headers.get("access-control-allow-origin")], [500, "internal", PAGE]);
  assert.deepEqual(await answer(await waiting), [500, "internal"], "who waited in the broken instance is answered as well");
  release();
  upstream = usual;
  assert.equal((await handle(request())).status, 200);
});

test("a request that cannot be read is answered 500 with CORS headers", async () => {
  let reads = 0;
  const broken = request();
  const hostile = new Proxy(broken, {
    get: (target, name) => {
      if (name === "headers" && reads++ === 0) throw new Error("hostile");
      const value = target[name];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const refused = await server.createTokenEndpoint(ENV)(hostile);
  assert.deepEqual([...(await answer(refused)), refused.headers.get("access-control-allow-origin")], [500, "internal", PAGE]);
});

test("a request that cannot be read at all is answered, too", async () => {
  const hostile = { method: "POST", get headers() { throw new Error("no request of the Fetch API"); } };
  assert.equal((await server.createTokenEndpoint(ENV)(hostile)).status, 500);
});

test("a request whose body the application has read is the application's mistake", async () => {
  const read = async (headers) => {
    const used = new Request("https://function/", { method: "POST", headers, body: "{}" });
    await used.text();
    return used;
  };
  const handle = server.createTokenEndpoint(ENV);
  assert.deepEqual(await answer(await handle(await read(request().headers))), [500, "misconfigured"]);
  const signed = { "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
  await assert.rejects(server.verifyWebhook(await read(signed), { sender: "github", secret: "x" }), {
    reason: "misconfigured",
    message: /hand it on unread/,
  });
});

test("a guard whose module stops answers 500 with CORS headers, and lets the next request in", async (t) => {
  const handle = server.withSupabase({ env: ENV }, () => new Response("in"));
  t.mock.method(crypto.subtle, "importKey", () => { throw new Error("what the host throws goes through the module") }, { times: 1 });
  const refused = await handle(request());
  assert.deepEqual([...(await answer(refused)), refused.headers.get("access-control-allow-origin")], [500, "internal", PAGE]);
  assert.equal(await (await handle(request())).text(), "in");
});

test("with cors disabled the application answers for it", async () => {
  for (const cors of ["disabled", false]) {
    const handle = server.withSupabase({ env: ENV, auth: "none", cors }, ({ method }) => new Response(method, { headers: { vary: "x" } }));
    const stranger = { origin: "https://stranger.example", "access-control-request-method": "POST" };
    const preflight = await handle(new Request("https://function/", { method: "OPTIONS", headers: stranger }));
    assert.deepEqual([preflight.status, await preflight.text(), preflight.headers.get("vary")], [200, "OPTIONS", "x"]);
    assert.equal(preflight.headers.get("access-control-allow-origin"), null);
    const refusing = server.withSupabase({ env: ENV, cors }, () => new Response());
    const refused = await refusing(new Request("https://function/", { method: "POST", headers: stranger }));
    assert.deepEqual([refused.status, refused.headers.get("vary")], [401, null]);
    const { code, message, error } = await refused.json();
    assert.deepEqual([code, message], [error.code, error.message], "where those look who come from @supabase/server");
    assert.equal(refused.headers.get("www-authenticate"), 'Bearer realm="supabase"');
  }
});

test("a handler behind withSupabase knows the caller and reaches the data as he may", async () => {
  const handle = server.withSupabase({ env: ENV, auth: ["user", "none"] }, async (_, context, extra) => {
    await context.rest("/profiles?select=plan", { headers: { apikey: "mine", prefer: "count=exact" } });
    await context.admin("profiles", { method: "DELETE" });
    return new Response(JSON.stringify({ context, extra }), { status: 201, headers: { vary: "accept" } });
  });
  const response = await handle(request(), "extra");
  const { context, extra } = await response.json();
  assert.deepEqual([response.status, context.authMode, context.userClaims.role, extra], [201, "user", "authenticated", "extra"]);
  assert.equal(context.jwtClaims.iss, `${SUPABASE}/auth/v1`);
  assert.deepEqual([response.headers.get("vary"), response.headers.get("access-control-allow-origin")], ["accept, origin", PAGE]);
  const [own, admin] = calls.slice(-2);
  assert.equal(own.url, `${SUPABASE}/rest/v1/profiles?select=plan`);
  assert.match(own.headers.authorization, /^Bearer eyJ/);
  assert.deepEqual([own.headers.apikey, own.headers.prefer], ["sb_publishable_default", "count=exact"]);
  assert.deepEqual([admin.headers.apikey, admin.headers.authorization], ["sb_secret_default", undefined]);
});

test("a handler's answer to a WebSocket is the host's own", async () => {
  const upgrade = Object.defineProperty(new Response(), "status", { value: 101 });
  assert.equal(await server.withSupabase({ env: ENV, auth: "none" }, () => upgrade)(request()), upgrade);
});

test("what a handler throws is passed on", async () => {
  const handle = server.withSupabase({ env: ENV, auth: "none" }, () => { throw new RangeError("mine"); });
  await assert.rejects(handle(request()), RangeError);
});

test("createSupabaseContext gives the caller or the error, and never rejects", async () => {
  const options = { env: ENV };
  const good = await server.createSupabaseContext(request(), options);
  assert.deepEqual([good.error, good.data.authMode], [null, "user"]);
  const bad = await server.createSupabaseContext(request({}, { key: "stranger" }), options);
  assert.ok(bad.error instanceof server.BehestError);
  assert.deepEqual([bad.data, bad.error.reason, bad.error.status], [null, "invalid_signature", 401]);
  const wrong = await server.createSupabaseContext(request(), { env: {} });
  assert.equal(wrong.error.reason, "misconfigured");
});

test("options written into the call are set up once, and all share one key set", async () => {
  const { env, request } = newProject();
  const context = () => server.createSupabaseContext(request(), { env, auth: ["user", "none"] });
  for (let i = 0; i < 20; i += 1) assert.equal((await context()).data.authMode, "user");
  assert.equal((await server.withSupabase({ env }, () => new Response())(request())).status, 200);
  assert.equal((await server.createTokenEndpoint(env)(request())).status, 200);
  assert.equal(calls.filter(({ url }) => url.endsWith("jwks.json")).length, 1);
  const wrong = await server.createSupabaseContext(request(), { env, auth: ["user", "none"], policy() {} });
  assert.equal(wrong.error.reason, "misconfigured", "what is known hides no mistake");
  const other = await server.createSupabaseContext(request(), { env: newProject().env, auth: ["user", "none"] });
  assert.equal(other.error.reason, "wrong_issuer");
});

test("no path leaves rest/v1, and no call waits for ever", async () => {
  const { data } = await server.createSupabaseContext(request(), { env: ENV });
  const before = calls.length;
  for (const path of ["../../auth/v1/admin/users", "/../auth", "a/../../x", "%2e%2e/%2E%2E/auth", "..\\..\\auth", "x/..%2f/../../y/../.."]) {
    for (const send of [data.rest, data.admin]) {
      await assert.rejects(send(path), { reason: "invalid_request" }, path);
    }
  }
  assert.equal(calls.length, before);
  await data.admin("//evil.example/x");
  assert.equal(calls.at(-1).url, `${SUPABASE}/rest/v1//evil.example/x`);
  assert.ok(calls.at(-1).signal instanceof AbortSignal, "there is a deadline");
  assert.equal(calls.at(-1).redirect, "manual", "nobody else is handed the key");
  const { signal } = new AbortController();
  await data.rest("notes", { signal });
  assert.equal(calls.at(-1).signal, signal);
});

// Hosts that are strict about headers answer 400 themselves.
test("a header with a control character is there, and fits nothing", async () => {
  const guard = server.withSupabase({ env: ENV, auth: ["user", "secret", "none"] }, (_, { authMode }) => Response.json({ authMode }));
  for (const letter of ["\x01", "\x0b", "\x7f"]) {
    const sent = (name, value) => answerOf(guard, { [name]: `${value}${letter}` });
    assert.deepEqual(await sent("authorization", "Bearer x"), [401, "invalid_authorization"]);
    assert.deepEqual(await sent("apikey", "sb_secret_default"), [401, "invalid_api_key"]);
    assert.deepEqual(await sent("origin", PAGE), [403, "origin_refused"]);
  }
});

test("a line break in what somebody sends begins no line in the log", async () => {
  const handle = server.createTokenEndpoint(ENV, {
    policy: () => { throw new Error("broken\nbehest-client: minted user=forged"); },
  });
  await handle(request());
  const lines = console.error.mock.calls.map(({ arguments: [line] }) => line);
  assert.ok(lines.some((line) => line.includes("broken\\nbehest-client: minted")), lines.join("|"));
  assert.ok(lines.every((line) => !line.includes("\n")));
});

test("a policy that never settles is given up after 10 s", { timeout: 30_000 }, async () => {
  const handle = server.createTokenEndpoint(ENV, { policy: () => new Promise(() => {}) });
  assert.deepEqual(await answer(await handle(request())), [503, "plan_unavailable"]);
});

test("a webhook without a usable secret is the server's fault", async () => {
  const deliver = () => new Request("https://f/", { method: "POST", body: "{}", headers: { "stripe-signature": "t=1,v1=00" } });
  for (const options of [{ sender: "stripe", secret: undefined }, { sender: "strip", secret: "x" }, { sender: "standard", secret: "whsec_%" }, { sender: "stripe", secret: "x", toleranceSec: 9 }, { sender: "stripe", secret: "x", maxBytes: "1" }]) {
    await assert.rejects(server.verifyWebhook(deliver(), options), { reason: "misconfigured" }, JSON.stringify(options));
  }
});

test("a webhook's body is read only as far as its limit, and not at all without its header", async () => {
  let read = 0;
  const endless = () => new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array((read += 65_536) && 65_536)) }, { highWaterMark: 0 });
  const deliver = (headers, body) => new Request("https://f/", { method: "POST", body, headers, duplex: "half" });
  const options = { sender: "github", secret: "x" };
  await assert.rejects(server.verifyWebhook(deliver({}, endless()), options), { reason: "invalid_webhook" });
  assert.equal(read, 0);
  const signed = { "x-hub-signature-256": `sha256=${"0".repeat(64)}` };
  await assert.rejects(server.verifyWebhook(deliver(signed, endless()), options), { reason: "payload_too_large", status: 413 });
  assert.ok(read <= 1_048_576 + 2 * 65_536, `${read} bytes were read`);
  await assert.rejects(server.verifyWebhook(deliver(signed, "x".repeat(11)), { ...options, maxBytes: 10 }), { reason: "payload_too_large", message: /larger than 10 bytes/ });
  await assert.rejects(server.verifyWebhook(deliver(signed, "x".repeat(10)), { ...options, maxBytes: 10 }), { reason: "invalid_webhook" });
});

test("a damaged private key signs nothing", async () => {
  const good = createPrivateKey(Buffer.from(variables.PKCS8_BASE64, "base64")).export({ format: "jwk" });
  const n = Buffer.from(good.n, "base64url");
  const pkcs1 = Buffer.from(createPrivateKey(Buffer.from(variables.PKCS8_BASE64, "base64")).export({ format: "der", type: "pkcs1" }));
  const at = pkcs1.indexOf(n);
  pkcs1[at + 100] ^= 4;
  const ids = { BEHEST_KID: "k", BEHEST_TENANT_ID: "t", BEHEST_PROJECT_ID: "p" };
  const handle = server.createTokenEndpoint({ ...ENV, ...ids, BEHEST_KEY: pkcs1.toString("base64") });
  assert.deepEqual(await answer(await handle(request())), [500, "misconfigured"]);
});

test("nothing of Node is used", () => {
  const folder = installed.packageFolder;
  for (const file of ["server.js", "server-workerd.js", "server-core.js", "dist/server-glue.js", "dist/reasons.js", "lib/error.js"]) {
    assert.doesNotMatch(readFileSync(join(folder, file), "utf8"), /\bBuffer\b|node:|\brequire\(/, file);
  }
});
