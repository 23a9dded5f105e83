// The examples, as they stand in the repository, on the runtimes they are for.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { installPrograms, startFunction, startProgram, startWorkerd } from "./server/runtimes.mjs";
import { token } from "./server/tokens.mjs";
import { startUpstream } from "./server/upstream.mjs";
import { blocks } from "./support/guide.mjs";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const functions = join(examples, "supabase-function/supabase/functions");
const FUNCTIONS = ["behest-token", "notes", "nightly-report", "health", "stripe-webhook"];
const PAGE = "https://app.example.com";
const running = [];

let upstream, project, variables;

before(async () => {
  upstream = await startUpstream();
  project = await installPrograms();
  variables = {
    SUPABASE_URL: upstream.url,
    SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_default"}',
    SUPABASE_SECRET_KEYS: '{"default":"sb_secret_default","jobs":"sb_secret_jobs"}',
    BEHEST_KEY: "behest_sk_live_0123456789abcdef",
    BEHEST_BASE_URL: upstream.url,
    CORS_ORIGIN: PAGE,
    STRIPE_WEBHOOK_SECRET: "whsec_test_secret",
  };
});

after(() => {
  for (const host of running) host.stop();
  upstream?.stop();
  project?.remove();
});

async function run(starting) {
  const host = await starting;
  running.push(host);
  const call = (path, headers = {}, init = {}) => fetch(`http://127.0.0.1:${host.port}${path}`, { method: "POST", headers, ...init });
  return Object.assign(call, { port: host.port });
}

const session = (spec = {}) => ({ origin: PAGE, authorization: `Bearer ${token(spec, upstream.url)}` });

const stripe = (body, at = Math.floor(Date.now() / 1000), secret = "whsec_test_secret") => ({
  "stripe-signature": `t=${at},v1=${createHmac("sha256", secret).update(`${at}.${body}`).digest("hex")}`,
});

async function expect(response, status, body) {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const got = JSON.parse(text);
  assert.deepEqual(got.error?.code ? got.error.code : got, body, text);
}

/**
 * The rows of the header table: what callers send. For each, what it comes to where a user, a secret key and nothing is asked
 * for: true, or the reason of a 401.
 */
const ROWS = [
  ["a user's token as bearer", ({ jwt }) => ({ authorization: `Bearer ${jwt}` }), true, "missing_api_key"],
  ["a publishable key as bearer", () => ({ authorization: "Bearer sb_publishable_default" }), "api_key_as_bearer", "missing_api_key"],
  ["a secret key as bearer", () => ({ authorization: "Bearer sb_secret_jobs" }), "api_key_as_bearer", "missing_api_key"],
  ["a publishable key in apikey", () => ({ apikey: "sb_publishable_default" }), "missing_token", "invalid_api_key"],
  ["a secret key in apikey", () => ({ apikey: "sb_secret_jobs" }), "missing_token", true],
  ["a user's token in apikey", ({ jwt }) => ({ apikey: jwt }), "missing_token", "invalid_api_key"],
  ["a publishable key in both", () => ({ apikey: "sb_publishable_default", authorization: "Bearer sb_publishable_default" }), "api_key_as_bearer", "invalid_api_key"],
  ["a token and a publishable key", ({ jwt }) => ({ apikey: "sb_publishable_default", authorization: `Bearer ${jwt}` }), true, "invalid_api_key"],
  ["a token and a secret key", ({ jwt }) => ({ apikey: "sb_secret_jobs", authorization: `Bearer ${jwt}` }), true, true],
  ["neither", () => ({}), "missing_token", "missing_api_key"],
];

/** Puts every row to the three patterns: `user`, `secret` and `none` each send a request with these headers. */
async function checkRows(t, patterns) {
  for (const [name, headers, user, secret] of ROWS) {
    await t.test(name, async () => {
      const sent = headers({ jwt: token({}, upstream.url) });
      for (const [pattern, expected] of Object.entries({ user, secret, none: true })) {
        const response = await patterns[pattern](sent);
        const { error } = await response.json();
        assert.deepEqual([response.status, error?.code], expected === true ? [200, undefined] : [401, expected], pattern);
      }
    });
  }
}

/** What all three examples have: the token endpoint. */
async function checkToken(call) {
  const good = await call("/functions/v1/behest-token", session({ claims: { sub: "plan-pro" } }));
  const bundle = await good.json();
  assert.deepEqual([good.status, bundle.token, bundle.ttl], [200, "tok-plan-pro-tier-2", 900]);
  assert.equal(good.headers.get("access-control-allow-origin"), PAGE);
  await expect(await call("/functions/v1/behest-token", session({ key: "stranger" })), 401, "invalid_signature");
}

/** The status of the answer to a head that promises `length` bytes, of which none come. */
async function promised({ port }, path, headers, length) {
  const socket = connect(port, "127.0.0.1");
  const head = { host: "x", connection: "close", "content-length": length, ...headers };
  socket.write(`POST ${path} HTTP/1.1\r\n${Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
  const [answer] = await once(socket, "data");
  socket.destroy();
  return Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]);
}

async function checkStripe(call, path) {
  const body = '{"id":"evt_1"}';
  await expect(await call(path, stripe(body), { body }), 200, { received: "evt_1" });
  await expect(await call(path, stripe(body, undefined, "other"), { body }), 401, { error: "invalid_webhook" });
  assert.equal(await promised(call, path, stripe(body), 2_000_000), 413);
  const hour = 3600;
  for (const at of [-hour, hour]) {
    const then = Math.floor(Date.now() / 1000) + at;
    await expect(await call(path, stripe(body, then), { body }), 401, { error: "invalid_webhook" });
  }
}

test("the functions are typed as Deno's compiler likes them", () => {
  for (const name of FUNCTIONS) cpSync(join(functions, name), join(project.folder, "functions", name), { recursive: true });
  const map = join(project.folder, "typed-map.json");
  // The types stand beside the program in the package, where Deno finds them through this comment alone.
  const typed = join(project.folder, "node_modules/behest-client/typed.js");
  writeFileSync(typed, '// @ts-self-types="./server.d.ts"\nexport * from "./server.js";\n');
  writeFileSync(map, JSON.stringify({ imports: { "behest-client/server": `file://${typed}` } }));
  const deno = fileURLToPath(new URL("node_modules/.bin/deno", import.meta.url));
  const check = (files) => execFileSync(deno, ["check", "--no-config", `--import-map=${map}`, ...files], { cwd: project.folder, stdio: "pipe" });
  check(FUNCTIONS.map((name) => `functions/${name}/index.ts`));
  const wrong = join(project.folder, "wrong.ts");
  writeFileSync(wrong, 'import { withSupabase } from "behest-client/server";\nwithSupabase({ auth: "everybody" }, () => new Response());\n');
  assert.throws(() => check(["wrong.ts"]), /TS2322|everybody/, "a mode that does not exist is a type error");
});

test("config.toml lets the platform's check stand where only users call", () => {
  const config = readFileSync(join(functions, "../config.toml"), "utf8");
  const found = Object.fromEntries([...config.matchAll(/\[functions\.([\w-]+)\]\nverify_jwt = (\w+)/g)].map(([, name, on]) => [name, on]));
  assert.deepEqual(found, { "behest-token": "true", notes: "true", "nightly-report": "false", health: "false", "stripe-webhook": "false" });
});

test("Supabase functions, on Deno", async (t) => {
  const start = (name) => run(startFunction(project.folder, join(functions, name, "index.ts"), variables));
  const [behestToken, notes, report, health, webhook] = await Promise.all(FUNCTIONS.map(start));
  await t.test("behest-token", () => checkToken(behestToken));
  await t.test("notes: user", async () => {
    await expect(await notes("/", session()), 200, [{ id: 1, of: "user" }]);
    await expect(await notes("/", { apikey: "sb_publishable_default" }), 401, "missing_token");
  });
  await t.test("nightly-report: service to service", async () => {
    await expect(await report("/", { apikey: "sb_secret_jobs" }), 200, { startedBy: "jobs", notes: 42 });
    await expect(await report("/", { apikey: "sb_secret_default" }), 401, "invalid_api_key");
    await expect(await report("/", session()), 401, "missing_api_key");
  });
  await t.test("health: public", async () => expect(await health("/"), 200, { ok: true }));
  await t.test("stripe-webhook", () => checkStripe(webhook, "/"));
  await checkRows(t, { user: (sent) => notes("/", sent), secret: (sent) => report("/", sent), none: (sent) => health("/", sent) });
});

// What `supabase functions serve` gives: the stack's own host, keys of both kinds, a key set with the old secret in it, and
// nothing of an env file whose name begins with SUPABASE_. The host is reached through the upstream as a proxy.
test("behest-token, in the environment of the Supabase CLI", async () => {
  const file = { ...variables, SUPABASE_PUBLIC_URL: "https://filtered.example", BEHEST_SUPABASE_PUBLIC_URL: "http://127.0.0.1:9999" };
  const kept = Object.fromEntries(Object.entries(file).filter(([name]) => !name.startsWith("SUPABASE_")));
  const set = {
    SUPABASE_URL: "http://kong:8000",
    SUPABASE_ANON_KEY: "legacy",
    SUPABASE_PUBLISHABLE_KEYS: variables.SUPABASE_PUBLISHABLE_KEYS,
    SUPABASE_SECRET_KEYS: variables.SUPABASE_SECRET_KEYS,
    SUPABASE_JWKS: JSON.stringify({ keys: [{ kty: "oct", k: Buffer.alloc(32, "s").toString("base64url") }] }),
  };
  const proxy = { HTTP_PROXY: upstream.url, NO_PROXY: "127.0.0.1" };
  const call = await run(startFunction(project.folder, join(functions, "behest-token/index.ts"), { ...kept, ...set, ...proxy }));
  for (const stack of ["http://127.0.0.1:54321", "http://localhost:54321", "http://127.0.0.1:9999"]) {
    const authorization = `Bearer ${token({ claims: { sub: "plan-pro" } }, stack)}`;
    const response = await call("/functions/v1/behest-token", { origin: PAGE, authorization });
    const text = await response.text();
    assert.deepEqual([response.status, JSON.parse(text).token], [200, "tok-plan-pro-tier-2"], `${stack}: ${text}`);
  }
  const stranger = `Bearer ${token({}, "http://127.0.0.1:54322")}`;
  await expect(await call("/", { origin: PAGE, authorization: stranger }), 401, "wrong_issuer");
});

test("Node.js's own server, as docs/server.md has it", { timeout: 60_000 }, async () => {
  const page = readFileSync(new URL("../../docs/server.md", import.meta.url), "utf8");
  const [{ text: program }] = blocks(page).filter(({ file }) => file === "server.mjs");
  const file = join(project.folder, "server.mjs");
  writeFileSync(file, program.replace("listen(8080)", 'listen(0, "127.0.0.1", function () { console.log(`listening ${this.address().port}`); })'));
  const call = await run(startProgram(process.execPath, variables, file));
  await checkToken(call);
  await expect(await call("/", session(), { body: "x".repeat(20_000) }), 413, "payload_too_large");
  // RFC 9110 section 15.5.6.
  const { status, headers } = await call("/", session(), { method: "GET" });
  assert.deepEqual([status, headers.get("allow")], [405, "POST, OPTIONS"]);
  const { port } = running.at(-1);
  // What ends none of them may end the server.
  for (const method of ["TRACE", "CONNECT", "GET", "POST"]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`${method} / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{`, () => socket.resetAndDestroy());
    await once(socket, "close");
  }
  await checkToken(call);
});

test("Cloudflare Worker, on workerd", async () => {
  cpSync(join(examples, "cloudflare-worker/src/index.js"), join(project.folder, "example-worker.js"));
  const call = await run(startWorkerd(project.folder, "example-worker.js", variables));
  await checkToken(call);
  await expect(await call("/me", session({ claims: { sub: "u-7" } })), 200, { id: "u-7" });
  await expect(await call("/me"), 401, "missing_token");
});

test("axum", async (t) => {
  const call = await run(startProgram(process.env.EXAMPLE_AXUM, { ...variables, LISTEN: "127.0.0.1:0" }));
  await checkToken(call);
  const get = { method: "GET" };
  const notes = await call("/notes", session(), get);
  assert.equal(notes.headers.get("content-type"), "application/json");
  await expect(notes, 200, [{ id: 1, of: "user" }]);
  await expect(await call("/notes", {}, get), 401, "missing_token");
  await expect(await call("/report", { apikey: "sb_secret_jobs" }), 200, { startedBy: "jobs" });
  await expect(await call("/report", { apikey: "sb_secret_default" }), 401, "invalid_api_key");
  await expect(await call("/health", {}, get), 200, { ok: true });
  await checkStripe(call, "/stripe");
  await checkRows(t, {
    user: (sent) => call("/notes", sent, get),
    secret: (sent) => call("/report", sent),
    none: (sent) => call("/health", sent, get),
  });
  await t.test("a head that does not arrive is given up", { timeout: 60_000 }, async () => {
    const socket = connect(running.at(-1).port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /health HTTP/1.1\r\nhost: x\r\n");
    await once(socket.resume(), "close");
  });
  await t.test("told to stop, it answers the request it has begun with, and exits", { timeout: 60_000 }, async () => {
    const host = running.at(-1);
    const socket = connect(host.port, "127.0.0.1");
    const idle = connect(host.port, "127.0.0.1");
    await Promise.all([once(socket, "connect"), once(idle, "connect")]);
    socket.write("POST /functions/v1/behest-token HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{");
    // What comes after this one came after the head above.
    await call("/health", {}, get);
    const exit = host.end();
    socket.write("}");
    assert.match(await text(socket), /^HTTP\/1.1 401 .*missing_token/s);
    idle.destroy();
    assert.equal(await exit, 0);
  });
});
