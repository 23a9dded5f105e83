/** While the module is on its way: where it comes from, what is begun meanwhile, and what happens when it does not come. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { installed, lab, setUp, until, urls } from "./support/in-node.mjs";
import { LIMIT } from "./support/limits.mjs";
import { listen } from "./support/loopback.mjs";

const wasm = await readFile(`${installed.packageFolder}/dist/behest.wasm`);

const counts = ({ sessionReads, mints, chats }) => ({ sessionReads, mints, chats });

/** A client whose module comes when the test says so. */
function slowClient(options = {}) {
  let [arrive, fail] = [];
  const promise = new Promise((resolve, reject) => ([arrive, fail] = [() => resolve(wasm), reject]));
  promise.catch(() => {});
  return { ...setUp(undefined, { maxRetries: 0, ...options, wasmModule: promise }), arrive, fail };
}

/** What a supabase-js client shows of itself, for the user of this world. */
function supabaseOf(world) {
  const supabase = { supabaseUrl: urls.supabaseUrl };
  supabase.auth = {
    getSession: async () => ({ data: { session: { access_token: await world.getAccessToken() } }, error: null }),
    onAuthStateChange(tell) {
      supabase.tell = (token) => tell("SIGNED_IN", token && { access_token: token });
      return { data: { subscription: { unsubscribe() {} } } };
    },
  };
  return supabase;
}

/** A slow client that is told of changes of the user. */
function slowSupabaseClient() {
  const supabase = supabaseOf(new lab.World());
  const made = slowClient({ supabase, getAccessToken: undefined });
  supabase.auth.getSession = supabaseOf(made.world).auth.getSession;
  return { ...made, tell: (token) => supabase.tell(token) };
}

describe("meanwhile", () => {
  for (const [source, make] of [["a callback", slowClient], ["a supabase-js client", slowSupabaseClient]]) {
    test(`the session of ${source} is read and the token asked for, once`, LIMIT, async () => {
      const { world, behest, arrive } = make();
      const answers = Promise.all(Array.from({ length: 100 }, () => behest.ask("Hi!")));
      await until(() => world.mints === 1);
      assert.deepEqual(counts(world), { sessionReads: 1, mints: 1, chats: 0 });
      assert.deepEqual(Object.keys(world.requests[0].headers), ["authorization"], "as the engine itself asks");
      arrive();
      assert.equal((await answers).length, 100);
      assert.deepEqual(counts(world), { sessionReads: 1, mints: 1, chats: 100 });
      assert.equal(world.requests[1].headers.authorization, "Bearer token-1");
    });
  }

  test("a callback is asked anew for who comes later, and the same user's token is still one", LIMIT, async () => {
    const { world, behest, arrive } = slowClient();
    const first = behest.ask("Hi!");
    await until(() => world.mints === 1);
    const second = behest.ask("Hi!");
    arrive();
    assert.deepEqual(await Promise.all([first, second]), ["Hello", "Hello"]);
    assert.deepEqual(counts(world), { sessionReads: 2, mints: 1, chats: 2 });
  });

  test("a callback that gives another user for who comes later: nothing of the first one's is used", LIMIT, async () => {
    const { world, behest, arrive } = slowClient();
    const first = behest.ask("Alice's");
    first.catch(() => {});
    await until(() => world.mints === 1);
    const bob = world.signedIn("bob");
    const second = behest.ask("Bob's");
    arrive();
    assert.equal(await second, "Hello");
    await first.catch(({ reason }) => assert.equal(reason, "user_changed"));
    const [early, mint, ...chats] = world.requests;
    assert.equal(early.cancelled, true);
    assert.equal(mint.headers.authorization, `Bearer ${bob}`);
    for (const { headers } of chats) assert.equal(headers.authorization, "Bearer token-2");
  });

  test("whoever signs out is sent nothing more, and the next user gets a token of their own", LIMIT, async () => {
    const { world, behest, arrive, tell } = slowSupabaseClient();
    const call = behest.ask("Alice's");
    call.catch(() => {});
    await until(() => world.mints === 1);
    const bob = world.signedIn("bob");
    tell(null);
    tell(bob);
    await new Promise(setImmediate);
    arrive();
    await assert.rejects(call, { reason: "user_changed" });
    await until(() => world.requests[0].cancelled);
    assert.equal(world.chats, 0);
    assert.equal(await behest.ask("Bob's"), "Hello");
    assert.equal(world.requests.at(-2).headers.authorization, `Bearer ${bob}`);
    assert.equal(world.requests.at(-1).headers.authorization, "Bearer token-2");
  });

  for (const [who, reason, token] of [
    ["nobody", "signed_out", () => null],
    ["a publishable key", "api_key_as_bearer", () => "sb_publishable_key"],
    ["an anon key", "api_key_as_bearer", () => lab.accessToken("x", { role: "anon" })],
    ["a service key", "role_refused", () => lab.accessToken("x", { role: "service_role" })],
    ["something that is no token", "session_failed", () => 42],
    ["a text with a line break", "malformed_token", () => `${lab.accessToken("x")}\nx: y`],
  ]) {
    test(`nothing is sent for ${who}`, LIMIT, async () => {
      const { world, behest, arrive } = slowClient({ getAccessToken: token });
      const call = behest.ask("Hi!");
      call.catch(() => {});
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
      arrive();
      await assert.rejects(call, { reason });
      assert.equal(world.requests.length, 0);
    });
  }

  test("a session source that throws is asked once, and told", LIMIT, async () => {
    let reads = 0;
    const getAccessToken = () => {
      reads += 1;
      throw new Error("no storage");
    };
    const { behest, arrive } = slowClient({ getAccessToken });
    const call = behest.ask("Hi!");
    call.catch(() => {});
    await until(() => reads === 1);
    arrive();
    await assert.rejects(call, { reason: "session_failed", message: /no storage/ });
    assert.equal(reads, 1);
  });

  test("when everybody left, or the module never came, the token is not wanted", LIMIT, async () => {
    const left = slowClient();
    const controller = new AbortController();
    const call = left.behest.ask("Hi!", { signal: controller.signal });
    await until(() => left.world.mints === 1);
    controller.abort();
    await assert.rejects(call, { reason: "aborted" });
    left.arrive();
    await until(() => left.world.requests[0].cancelled || left.world.requests[0].answered);

    const failed = slowClient();
    failed.world.serve(() => lab.hang());
    const other = failed.behest.ask("Hi!");
    other.catch(() => {});
    await until(() => failed.world.mints === 1);
    failed.fail(new Error("gone"));
    await assert.rejects(other, { reason: "wasm_load_failed", message: /gone/ });
    assert.equal(failed.world.requests[0].cancelled, true);
  });

  test("the age of a token counts from when it was asked for", LIMIT, async (t) => {
    const { world, behest, arrive } = slowClient();
    world.serve((request) => {
      if (!lab.isMint(request)) return lab.defaultReply(request, world);
      return lab.json(200, { token: `token-${world.mints}`, ttl: 300, sessionId: "s" });
    });
    const real = performance.now.bind(performance);
    let passed = 0;
    t.mock.method(performance, "now", () => real() + passed);
    const call = behest.ask("Hi!");
    await until(() => world.mints === 1);
    passed = 250_000;
    arrive();
    await call;
    // Less than a minute of it is left, so it is used once and then replaced.
    await behest.ask("Hi!");
    assert.equal(world.mints, 2);
  });
});

describe("in a browser", () => {
  let browser;
  let server;
  /** What the server answers with: paths to `[headers, body]`. */
  let files;

  before(async () => {
    browser = await launch();
    server = await listen(createServer(async (request, response) => {
      const { pathname } = new URL(request.url, "http://localhost");
      const [headers, body] = files[pathname] ?? [{ "content-type": "text/html" }, "<!doctype html><title>App</title>"];
      response.writeHead(200, headers).end(await body);
    }));
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Asks in a page with this policy and these options (as source text): the answer, or the error. */
  async function ask({ policy = "script-src 'self' 'wasm-unsafe-eval'", options = "{}", call = 'behest.ask("Hi!")', module }) {
    const text = (name) => readFile(`${installed.packageFolder}/${name}`);
    files = {
      "/": [
        { "content-type": "text/html", "content-security-policy": policy },
        '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/app.js"></script>',
      ],
      "/app.js": [
        { "content-type": "text/javascript" },
        `import { createClient, BehestError } from "/pkg/index.js";
         import { World } from "/pkg/testing.js";
         globalThis.ask = async () => {
           const world = new World();
           const { fetch, getAccessToken } = world;
           const urls = { supabaseUrl: "https://project.example", behestUrl: "https://gateway.example" };
           const behest = createClient({ ...urls, fetch, getAccessToken, ...(${options}) });
           try {
             return { answer: await ${call} };
           } catch (error) {
             const { reason, action, message } = error;
             return { reason, action, message, typed: error instanceof BehestError };
           }
         };`,
      ],
    };
    for (const name of [
      "index.js", "testing.js", "dist/glue.js", "dist/reasons.js",
      ...["body", "client", "drive", "early", "error", "options", "session", "stream", "token", "wasm"].map((part) => `lib/${part}.js`),
    ]) {
      files[`/pkg/${name}`] = [{ "content-type": "text/javascript" }, text(name)];
    }
    if (module) Object.assign(files, module);
    const { page, context } = await openPage(browser);
    await page.goto(server.url);
    await page.waitForFunction(() => globalThis.ask);
    const told = await page.evaluate(() => globalThis.ask());
    await context.close();
    return told;
  }

  const AT = "/pkg/dist/behest.wasm";
  const WASM = { "content-type": "application/wasm" };
  const ANSWER = { answer: "Hello" };

  test("it lies beside the script", LIMIT, async () => {
    assert.deepEqual(await ask({ module: { [AT]: [WASM, wasm] } }), ANSWER);
  });

  test("what is loaded when it is used says that it did not load", LIMIT, async () => {
    const told = await ask({ call: 'behest.fetch("https://gateway.example/v1/models")', module: { [AT]: [WASM, wasm] } });
    assert.deepEqual([told.reason, told.typed], ["network", true], JSON.stringify(told));
    assert.match(told.message, /^A script did not load, reload the page: /);
  });

  for (const type of ["application/octet-stream", "text/plain", "application/wasm; charset=utf-8", ""]) {
    test(`a module of type "${type}" is one`, LIMIT, async () => {
      const headers = type ? { "content-type": type } : {};
      assert.deepEqual(await ask({ module: { [AT]: [headers, wasm] } }), ANSWER);
    });
  }

  for (const [what, options] of [
    ["a path", '{ wasmUrl: "/static/b.wasm" }'],
    ["a URL", '{ wasmUrl: new URL("/static/b.wasm", location.href) }'],
    ["compiled", '{ wasmModule: WebAssembly.compileStreaming(globalThis.fetch("/static/b.wasm")) }'],
    ["as bytes", '{ wasmModule: globalThis.fetch("/static/b.wasm").then((response) => response.arrayBuffer()) }'],
  ]) {
    test(`the application may name it: ${what}`, LIMIT, async () => {
      assert.deepEqual(await ask({ options, module: { "/static/b.wasm": [WASM, wasm] } }), ANSWER);
    });
  }

  for (const [what, given, message, action = "retry_after"] of [
    ["a start page in its place", {}, /\/pkg\/dist\/behest\.wasm is text\/html, not WebAssembly/],
    ["a page that calls itself a module", { module: { [AT]: [WASM, "<!doctype html>"] } }, /magic/],
    ["a wrong wasmUrl", { options: '{ wasmUrl: "/nowhere.wasm" }' }, /\/nowhere\.wasm is text\/html, not WebAssembly/],
    ["a module of something else", { options: "{ wasmModule: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) }" }, /./],
    [
      "a policy without wasm-unsafe-eval",
      { policy: "script-src 'self'", module: { [AT]: [WASM, wasm] } },
      /Add 'wasm-unsafe-eval' to script-src/,
      "fix_config",
    ],
    [
      "a policy that does not let it be fetched",
      { policy: "script-src 'self' 'wasm-unsafe-eval'; connect-src https://gateway.example", module: { [AT]: [WASM, wasm] } },
      /Failed to fetch/,
    ],
  ]) {
    test(`${what}: wasm_load_failed says so`, LIMIT, async () => {
      const told = await ask(given);
      assert.deepEqual([told.reason, told.action, told.typed], ["wasm_load_failed", action, true], JSON.stringify(told));
      assert.match(told.message, message);
    });
  }
});
