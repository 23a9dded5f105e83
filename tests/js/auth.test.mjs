/** Sign-in of `behest-client/auth`: case by case as supabase-js, and together with it on one page. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { after, before, describe, test } from "node:test";

import { createServerClient } from "@supabase/ssr";
import { createClient as createSupabase } from "@supabase/supabase-js";

import { renewAtOnce } from "./support/at-once.mjs";
import { launch, openPage } from "./support/browser.mjs";
import { LIMIT } from "./support/limits.mjs";
import { listen } from "./support/loopback.mjs";
import { installPackage } from "./support/package.mjs";
import { CASES, PASSWORD } from "./support/sign-in-cases.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";
import { supabaseModule } from "./support/supabase-js.mjs";

const ROUNDS = 200;
const LONG = { timeout: 180_000 };

let installed;
let stack;
let site;
let browser;
let createClient;
let cookieStorage;
let BehestError;

before(async () => {
  installed = await installPackage();
  site = await startSite();
  // A token that was rotated away is honoured for no moment: all that is left is the one before the newest.
  const more = ["--allow-origin", site.url, "--reuse-interval-secs", "0"];
  stack = await startStack({ packageFolder: wwwFolder, more });
  browser = await launch();
  ({ createClient, cookieStorage, BehestError } = await installed.load("auth-node.js"));
});
after(async () => {
  await browser?.close();
  await stack?.stop();
  await site?.stop();
  await installed?.remove();
});

/** The package and supabase-js, and an empty page at any other address. */
async function startSite() {
  const supabase = await supabaseModule();
  const types = { ".js": "text/javascript", ".wasm": "application/wasm" };
  const server = createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, "http://any");
    const send = (type, body) => response.writeHead(200, { "content-type": type }).end(body);
    if (pathname === "/supabase-js.js") return send("text/javascript", supabase);
    if (!pathname.startsWith("/pkg/")) return send("text/html", '<!doctype html><link rel="icon" href="data:,">');
    const file = path.join(installed.packageFolder, pathname.slice(5));
    await readFile(file).then(
      (body) => send(types[path.extname(file)], body),
      () => response.writeHead(404).end(),
    );
  });
  return listen(server);
}

let addresses = 0;
const address = () => `user-${(addresses += 1)}@example.com`;

function storage() {
  const kept = new Map();
  return {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, text) => void kept.set(name, text),
    removeItem: (name) => void kept.delete(name),
    session: () => [...kept].find(([name]) => name.endsWith("auth-token")),
  };
}

/** The latest letter to this address. */
async function letter(email) {
  const letters = await (await fetch(`${stack.supabase}/_local/mail`)).json();
  return letters.find(({ to }) => to === email);
}

/** Where a link, or the provider's form, leads the browser to. */
async function leadsTo(url, init) {
  const response = await fetch(url, { redirect: "manual", ...init });
  return response.headers.get("location");
}
const open = (link) => leadsTo(link);

function provider(url, email) {
  const { origin, pathname, searchParams } = new URL(url);
  searchParams.append("email", email);
  return leadsTo(origin + pathname, { method: "POST", body: searchParams });
}

const refreshes = async () => (await stack.counters())("auth.token.refresh_token");

/** The two libraries. Both keep their hands off timers and addresses here. */
const LIBRARIES = {
  "supabase-js": (kept) =>
    createSupabase(stack.supabase, stack.publishableKey, {
      auth: { storage: kept, flowType: "pkce", autoRefreshToken: false, detectSessionInUrl: false },
      // Node.js 20 has no WebSocket, and nobody here needs one.
      realtime: { transport: class {} },
    }).auth,
  "behest-client/auth": (kept) => ours(kept).auth,
};

const ours = (kept = storage(), options = {}) =>
  createClient({ url: stack.supabase, publishableKey: stack.publishableKey, behestUrl: stack.gateway, storage: kept, ...options });

for (const [library, create] of Object.entries(LIBRARIES)) {
  describe(library, () => {
    for (const [name, run] of Object.entries(CASES)) {
      test(name, LIMIT, async () => {
        const make = (kept = storage()) => create(kept);
        const page = stack.page;
        await run({ make, storage, address, letter, open, provider, page, refreshes });
      });
    }
  });
}

for (const [writer, reader] of [Object.keys(LIBRARIES), Object.keys(LIBRARIES).reverse()]) {
  test(`what ${writer} stores, ${reader} goes on with`, LIMIT, async () => {
    const kept = storage();
    const { data } = await LIBRARIES[writer](kept).signUp({ email: address(), password: PASSWORD });
    const auth = LIBRARIES[reader](kept);
    assert.deepEqual((await auth.getSession()).data.session, data.session);
    assert.equal((await auth.refreshSession()).error, null);
    assert.equal((await auth.signOut()).error, null);
    assert.equal((await LIBRARIES[writer](kept).getSession()).data.session, null);
  });
}

/** The cookies of one browser, and the two libraries over them. */
function jar(kept = new Map()) {
  const cookies = {
    getAll: () => [...kept].map(([name, value]) => ({ name, value })),
    setAll(list) {
      for (const { name, value, options } of list) options.maxAge === 0 ? kept.delete(name) : kept.set(name, value);
    },
  };
  return {
    kept,
    libraries: {
      "@supabase/ssr": () =>
        createServerClient(stack.supabase, stack.publishableKey, { cookies, realtime: { transport: class {} } }).auth,
      "behest-client/auth": () => ours(cookieStorage(cookies)).auth,
    },
  };
}

for (const [writer, reader] of [["@supabase/ssr", "behest-client/auth"], ["behest-client/auth", "@supabase/ssr"]]) {
  test(`the cookies that ${writer} sets, ${reader} goes on with`, LIMIT, async () => {
    const { kept, libraries } = jar();
    // So much that it takes several.
    const about = "é".repeat(3000);
    const { data, error } = await libraries[writer]().signUp({ email: address(), password: PASSWORD, options: { data: { about } } });
    assert.equal(error, null);
    assert.ok([...kept.keys()].filter((name) => /auth-token\.\d$/.test(name)).length > 1, [...kept.keys()].join());
    const auth = libraries[reader]();
    assert.deepEqual((await auth.getSession()).data.session.access_token, data.session.access_token);
    assert.equal((await auth.getUser()).data.user.user_metadata.about, about);
    const renewed = await auth.refreshSession();
    assert.equal(renewed.error, null);
    const { session } = (await libraries[writer]().getSession()).data;
    assert.equal(session.refresh_token, renewed.data.session.refresh_token);
    assert.equal((await auth.signOut()).error, null);
    assert.equal((await libraries[writer]().getSession()).data.session, null);
    assert.deepEqual([...kept.keys()].filter((name) => /auth-token(\.\d)?$/.test(name)), []);
  });
}

test("the guide's own code", LIMIT, async () => {
  const guide = await readFile(path.resolve(import.meta.dirname, "../../docs/sign-in.md"), "utf8");
  const [, code] = guide.match(/```js\n([^]*?)```/);
  const names = ["createClient", "SUPABASE_URL", "PUBLISHABLE_KEY", "BEHEST_URL", "email", "password", "show"];
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction(...names, code.replace(/^import .*$/m, ""));
  const shown = [];
  const { email, password } = stack.demoUser;
  await run(createClient, stack.supabase, stack.publishableKey, stack.gateway, email, password, (text) => shown.push(text));
  assert.deepEqual(shown.slice(0, 2), ["Please sign in.", `Hello, ${email}`]);
  assert.ok(shown[2].length > 0);
});

test("whoever signs in may ask, as long as they are signed in", LIMIT, async () => {
  const client = ours();
  await assert.rejects(client.ask("Hi!"), (error) => error.reason === "signed_out");
  const { data } = await client.auth.signInWithPassword(stack.demoUser);
  assert.ok((await client.ask("Hi!")).length > 0);
  assert.equal((await client.usage.get()).user_id, data.user.id);
  await client.auth.signOut();
  await assert.rejects(client.ask("Hi!"), (error) => error.reason === "signed_out");
  client.close();
});

test("a listener that fails harms nobody, and one may wait for a call of its own", LIMIT, async (t) => {
  const complaints = t.mock.method(console, "error", () => {});
  const { auth } = ours();
  auth.onAuthStateChange(() => {
    throw new Error("mine");
  });
  auth.onAuthStateChange(async () => {
    throw new Error("mine, later");
  });
  const found = [];
  auth.onAuthStateChange(async (event) => found.push([event, (await auth.getUser()).data.user?.id]));
  const { data } = await auth.signUp({ email: address(), password: PASSWORD });
  while (found.length < 2) await new Promise(setImmediate);
  assert.deepEqual(found[1], ["SIGNED_IN", data.user.id]);
  assert.equal(complaints.mock.callCount(), 4, "each time");
});

test("a server has nobody signed in, and a client of one process is one user's", LIMIT, async () => {
  const [one, two] = [ours(undefined, { storage: undefined }), ours(undefined, { storage: undefined })];
  await one.auth.signInWithPassword(stack.demoUser);
  assert.equal((await two.auth.getSession()).data.session, null);
  assert.ok((await one.ask("Hi!")).length > 0);
  // What is told ends a stream of the user who leaves.
  const stream = await one.chat.completions.create({ messages: [{ role: "user", content: "Tell me everything." }], stream: true });
  const read = async () => {
    for await (const _ of stream.text()) await one.auth.signOut({ scope: "local" });
  };
  await assert.rejects(read(), (error) => error.reason === "user_changed");
  assert.equal((await two.auth.getUser()).error.reason, "signed_out");
});

test("errors are this package's, and say what to do without the password", LIMIT, async () => {
  const { auth } = ours();
  const { error } = await auth.signInWithPassword({ email: "nobody@example.com", password: "hunter-22" });
  assert.ok(error instanceof BehestError);
  assert.deepEqual([error.reason, error.action, error.hint], ["session_refused", "sign_in", "Check the address and the password."]);
  assert.ok(!JSON.stringify(error).includes("hunter"));
  for (const call of [
    auth.signInWithPassword({ email: "a@b.c" }),
    auth.signUp({ password: PASSWORD }),
    auth.verifyOtp({ email: "a@b.c", token: "123456", type: "nonsense" }),
    auth.exchangeCodeForSession(undefined),
    auth.signOut({ scope: "everywhere" }),
    ...["signInWithPassword", "signUp", "signInWithOtp", "verifyOtp", "signInWithOAuth", "resetPasswordForEmail"].flatMap((name) => [
      auth[name](),
      auth[name](null),
    ]),
  ]) {
    assert.equal((await call).error.reason, "invalid_request");
  }
});

test("wrong options are named at once", LIMIT, () => {
  const options = { url: "abc", publishableKey: "sb_secret_x", behestUrl: "https://a.example", supabase: {}, storage: {} };
  assert.throws(
    () => createClient(options),
    ({ reason, message }) => reason === "invalid_config" && ["url", "publishableKey", "supabase", "storage"].every((name) => message.includes(name)),
  );
  assert.throws(() => createClient(), ({ reason }) => reason === "invalid_config");
  assert.throws(() => createClient({ url: "https://a.example", publishableKey: "sb_publishable_x" }), /behestUrl/);
});

test("a client that is closed ends what it has begun, and can still be asked", LIMIT, async () => {
  const kept = storage();
  let arrive;
  const arrived = new Promise((resolve) => (arrive = resolve));
  const slow = async (request) => {
    arrive();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return globalThis.fetch(request);
  };
  const client = ours(kept, { fetch: slow });
  const signingUp = client.auth.signUp({ email: address(), password: PASSWORD });
  await arrived;
  client.close();
  client.close();
  const { data } = await signingUp;
  assert.equal(data.session.access_token, JSON.parse(kept.session()[1]).access_token);
  assert.equal((await client.auth.getSession()).data.session.access_token, data.session.access_token);
  assert.equal((await client.auth.getUser()).error, null);
});

test("a server that is away, slow or rate limiting signs nobody out", LIMIT, async () => {
  const kept = storage();
  await LIBRARIES["supabase-js"](kept).signUp({ email: address(), password: PASSWORD });
  const [name, text] = kept.session();
  kept.setItem(name, JSON.stringify({ ...JSON.parse(text), expires_at: 1_000_000_000 }));
  const answers = {
    network: () => Promise.reject(new TypeError("fetch failed")),
    rate_limited: () => new Response('{"code":"over_request_rate_limit"}', { status: 429 }),
    server_error: () => new Response("<html>", { status: 502 }),
    invalid_response: () => ({ status: 200, headers: new Map([["retry-after", 5]]), text: async () => 5 }),
  };
  for (const [reason, answer] of Object.entries(answers)) {
    const { auth } = ours(kept, { fetch: async () => answer() });
    const { data, error } = await auth.getSession();
    assert.deepEqual([data.session, error.reason], [null, reason]);
    assert.ok(kept.session(), "it is still there");
    const heard = await new Promise((resolve) => auth.onAuthStateChange((_, session) => resolve(session)));
    assert.equal(heard.user.id, JSON.parse(text).user.id);
  }
  assert.equal((await ours(kept).auth.getSession()).error, null);
});

test("a storage that throws is none, and the session lives as long as the client", LIMIT, async () => {
  const refuse = () => {
    throw new Error("denied");
  };
  const { auth } = ours({ getItem: refuse, setItem: refuse, removeItem: refuse });
  const { data } = await auth.signInAnonymously();
  assert.equal((await auth.getSession()).data.session.access_token, data.session.access_token);
  assert.equal((await auth.refreshSession()).error, null);
});

test("when the module stops, calls reject, and the next one goes on with what is stored", LIMIT, async () => {
  const [{ authClientFactory }, { createGlue }] = [await installed.load("lib/auth/client.js"), await installed.load("dist/auth-glue.js")];
  const wasm = await readFile(path.join(installed.packageFolder, "dist/auth.wasm"));
  let isPoisoned = false;
  const poisonous = (guard, host) => {
    const poison = () => {
      if (isPoisoned) throw new WebAssembly.RuntimeError("unreachable");
    };
    const read = (...given) => (poison(), host.read(...given));
    return createGlue(guard, { ...host, read });
  };
  const create = authClientFactory(poisonous, () => WebAssembly.compile(wasm));
  const { auth } = create({ url: stack.supabase, publishableKey: stack.publishableKey, behestUrl: stack.gateway, storage: storage() });
  const { data } = await auth.signInAnonymously();
  isPoisoned = true;
  const answers = await Promise.all([auth.getSession(), auth.getUser()]);
  assert.deepEqual(answers.map(({ error }) => error.reason), ["internal", "internal"]);
  isPoisoned = false;
  assert.equal((await auth.getSession()).data.session.access_token, data.session.access_token);
});

/** A tab with both libraries; `context` shares its storage with the other tabs. */
async function tabOf(context) {
  const tab = await context.newPage();
  await tab.goto(`${site.url}/both`);
  await tab.evaluate(
    async ([url, key, behestUrl]) => {
      const [{ createClient: createSupabase }, { createClient }] = await Promise.all([import("/supabase-js.js"), import("/pkg/auth.js")]);
      globalThis.client = createClient({ url, publishableKey: key, behestUrl });
      globalThis.libraries = { theirs: createSupabase(url, key).auth, ours: client.auth };
      globalThis.heard = [];
      for (const [name, auth] of Object.entries(libraries)) {
        auth.onAuthStateChange((event, session) => heard.push([name, event, session?.user.id ?? null]));
      }
      // Both have looked who is signed in: what comes now is a change.
      while (heard.filter(([, event]) => event === "INITIAL_SESSION").length < 2) await new Promise((done) => setTimeout(done, 5));
      globalThis.user = async (name) => (await libraries[name].getSession()).data.session?.user.id ?? null;
    },
    [stack.supabase, stack.publishableKey, stack.gateway],
  );
  return tab;
}

const both = (tab) => tab.evaluate(() => Promise.all([user("ours"), user("theirs")]));
const hears = (tab, ...wanted) =>
  tab
    .waitForFunction((wanted) => heard.some((what) => what.join() === wanted), wanted.join())
    .catch(async () => assert.fail(`no ${wanted} in ${JSON.stringify(await tab.evaluate(() => heard))}`));

for (const [one, other] of [["ours", "theirs"], ["theirs", "ours"]]) {
  test(`whoever signs in with ${one} is signed in everywhere, and signed out with ${other} nowhere`, LIMIT, async () => {
    const { context, complaints } = await openPage(browser);
    const [here, there] = [await tabOf(context), await tabOf(context)];
    const id = await here.evaluate(async ([name, demoUser]) => (await libraries[name].signInWithPassword(demoUser)).data.user.id, [one, stack.demoUser]);
    for (const tab of [here, there]) assert.deepEqual(await both(tab), [id, id]);
    await Promise.all([hears(here, other, "SIGNED_IN", id), hears(there, one, "SIGNED_IN", id), hears(there, other, "SIGNED_IN", id)]);
    assert.ok((await there.evaluate(() => client.ask("Hi!"))).length > 0);
    await there.evaluate((name) => libraries[name].signOut(), other);
    await Promise.all([hears(here, one, "SIGNED_OUT", ""), hears(there, one, "SIGNED_OUT", "")]);
    for (const tab of [here, there]) assert.deepEqual(await both(tab), [null, null]);
    assert.equal(await here.evaluate(() => client.ask("Hi!").catch(({ reason }) => reason)), "signed_out");
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test(`${ROUNDS} rounds of two tabs renewing at once with both libraries: nobody is signed out`, LONG, async (t) => {
  const { context } = await openPage(browser);
  const tabs = [await tabOf(context), await tabOf(context)];
  const id = await tabs[0].evaluate(async () => (await libraries.ours.signInAnonymously()).data.user.id);
  const before = await refreshes();
  const starter = await context.newPage();
  await starter.goto(site.url);
  for (const tab of tabs) {
    await tab.evaluate(() => {
      globalThis.renew = async () => {
        const answers = await Promise.all([libraries.ours.refreshSession(), libraries.theirs.refreshSession()]);
        return answers.map(({ data, error }) => data.session?.user.id ?? error?.name ?? null);
      };
    });
  }
  const signedOut = { ours: 0, theirs: 0 };
  let discarded = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [ours, theirs] of await renewAtOnce(starter, tabs)) {
      signedOut.ours += ours !== id;
      // supabase-js says so when somebody else was quicker, and goes on with what that one stored.
      discarded += theirs === "AuthRefreshDiscardedError";
      signedOut.theirs += theirs !== id && theirs !== "AuthRefreshDiscardedError";
    }
    for (const tab of tabs) assert.deepEqual(await both(tab), [id, id], `round ${round}`);
  }
  for (const tab of tabs) assert.ok(!(await tab.evaluate(() => heard.some(([, event]) => event === "SIGNED_OUT"))));
  assert.deepEqual(signedOut, { ours: 0, theirs: 0 });
  const renewals = (await refreshes()) - before;
  assert.ok(renewals >= ROUNDS, `${renewals} renewals`);
  assert.equal((await tabs[1].evaluate(() => libraries.ours.getUser())).error, null, "the session still stands at the server");
  t.diagnostic(`${ROUNDS} rounds, ${renewals} renewals at the server, ${discarded} discarded by supabase-js, 0 signed out`);
  await context.close();
});

test("without HTTPS nothing can be hashed: the proof is the verifier itself, and the way back works", LIMIT, async (t) => {
  t.after(() => delete crypto.subtle);
  Object.defineProperty(crypto, "subtle", { configurable: true, value: undefined });
  const { auth } = ours();
  const options = { redirectTo: `${stack.page}/`, skipBrowserRedirect: true };
  const { url } = (await auth.signInWithOAuth({ provider: "github", options })).data;
  assert.equal(new URL(url).searchParams.get("code_challenge_method"), "plain");
  const email = address();
  const code = new URL(await provider(url, email)).searchParams.get("code");
  assert.equal((await auth.exchangeCodeForSession(code)).data.user.email, email);
});

test("a provider leads back to the page, signed in, with nothing left in its address", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  const prepare = () =>
    page.evaluate(
      async ([url, publishableKey, behestUrl]) => {
        const { createClient } = await import("/pkg/auth.js");
        globalThis.auth = createClient({ url, publishableKey, behestUrl }).auth;
        globalThis.heard = [];
        auth.onAuthStateChange((event, session) => heard.push([event, session?.user.email ?? null]));
        return (await auth.initialize()).error?.reason ?? null;
      },
      [stack.supabase, stack.publishableKey, stack.gateway],
    );
  const begin = () => {
    const redirectTo = `${site.url}/back?tab=2`;
    void page.evaluate((redirectTo) => auth.signInWithOAuth({ provider: "github", options: { redirectTo } }), redirectTo).catch(() => {});
  };
  await page.goto(`${site.url}/`);
  await prepare();
  begin();
  const email = address();
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.waitForURL(/\/back\?/);
  assert.equal(await prepare(), null);
  await page.waitForFunction(() => heard.length > 1);
  assert.deepEqual(await page.evaluate(() => heard), [["INITIAL_SESSION", email], ["SIGNED_IN", email]]);
  assert.equal(page.url(), `${site.url}/back?tab=2`);

  // A code that is not ours is left where it is.
  await page.goto(`${site.url}/back?code=somebody-elses`);
  assert.equal(await prepare(), null);
  assert.match(page.url(), /code=somebody-elses/);

  begin();
  await page.getByLabel("E-mail").waitFor();
  await page.goto(`${site.url}/back?error=access_denied&error_description=No`);
  assert.equal(await prepare(), "session_refused");
  assert.equal(page.url(), `${site.url}/back`);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a page that keeps the session in cookies: its server knows the user", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  const asked = [stack.supabase, stack.publishableKey, stack.gateway, stack.demoUser];
  const enter = () =>
    page.evaluate(
      async ([url, publishableKey, behestUrl, demoUser]) => {
        const { cookieStorage, createClient } = await import("/pkg/auth.js");
        globalThis.client = createClient({ url, publishableKey, behestUrl, storage: cookieStorage() });
        const { session } = (await client.auth.getSession()).data;
        return session?.user.id ?? (await client.auth.signInWithPassword(demoUser)).data.user.id;
      },
      asked,
    );
  await page.goto(`${site.url}/`);
  const id = await enter();
  await page.reload();
  assert.equal(await enter(), id);
  assert.ok((await page.evaluate(() => client.ask("Hi!"))).length > 0);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
  const sent = new Map((await context.cookies()).map(({ name, value }) => [name, value]));
  for (const library of Object.values(jar(sent).libraries)) assert.equal((await library().getUser()).data.user.id, id);
  await page.evaluate(() => client.auth.signOut());
  assert.deepEqual((await context.cookies()).map(({ name }) => name).filter((name) => !name.endsWith("-code-verifier")), []);
  assert.deepEqual(complaints, []);
  await context.close();
});

test("a page without storage, channels or locks is signed in all the same", LIMIT, async () => {
  const { page, context, complaints } = await openPage(browser);
  await page.addInitScript(() => {
    const denied = { configurable: true, get() { throw new DOMException("denied", "SecurityError"); } };
    Object.defineProperty(window, "localStorage", denied);
    Object.defineProperty(navigator, "locks", { configurable: true, value: undefined });
    delete globalThis.BroadcastChannel;
  });
  await page.goto(`${site.url}/`);
  const found = await page.evaluate(
    async ([url, publishableKey, behestUrl, demoUser]) => {
      const { createClient } = await import("/pkg/auth.js");
      const client = createClient({ url, publishableKey, behestUrl });
      const { data } = await client.auth.signInWithPassword(demoUser);
      const { error } = await client.auth.refreshSession();
      return { id: data.user.id, error, answer: await client.ask("Hi!"), now: (await client.auth.getSession()).data.session.user.id };
    },
    [stack.supabase, stack.publishableKey, stack.gateway, stack.demoUser],
  );
  assert.deepEqual([found.error, found.now], [null, found.id]);
  assert.ok(found.answer.length > 0);
  assert.deepEqual(complaints, []);
  await context.close();
});
