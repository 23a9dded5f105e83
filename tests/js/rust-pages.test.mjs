/** The crate in pages: the Leptos and Yew examples as people use them, and its sign-in beside supabase-js. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";

import { renewAtOnce } from "./support/at-once.mjs";
import { launch, openPage } from "./support/browser.mjs";
import { listen } from "./support/loopback.mjs";
import { required } from "./support/required.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";
import { supabaseModule } from "./support/supabase-js.mjs";

const LIMIT = { timeout: 180_000 };
const ROUNDS = 200;
const root = path.resolve(import.meta.dirname, "../..");

let stack;
let browser;
let server;
let origin;
let files;

before(async () => {
  files = new Map([["/supabase-js.js", ["text/javascript", await supabaseModule()]]]);
  server = await listen(createServer(async ({ url }, response) => {
    const [type, body] = files.get(new URL(url, "http://any").pathname) ?? ["text/plain", null];
    response.writeHead(body === null ? 404 : 200, { "content-type": type }).end(body);
  }));
  origin = server.url;
  // A token that was rotated away is honoured for no moment: all that is left is the one before the newest.
  const more = ["--allow-origin", origin, "--reuse-interval-secs", "0"];
  stack = await startStack({ packageFolder: wwwFolder, more });
  for (const name of ["example-leptos", "example-yew", "auth-page"]) {
    const built = (file) => readFile(path.join(required("RUST_PAGES", "the built pages"), file));
    files.set(`/${name}.js`, ["text/javascript", await built(`${name}.js`)]);
    files.set(`/${name}_bg.wasm`, ["application/wasm", await built(`${name}_bg.wasm`)]);
  }
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await stack?.stop();
  await server?.stop();
});

/** An example's own page, with this machine's settings in it, loaded as Trunk would load it. */
async function page(name) {
  const html = await readFile(path.join(root, "examples", name, "index.html"), "utf8");
  const script = `<script type="module">import init from "/example-${name}.js"; await init({ module_or_path: "/example-${name}_bg.wasm" });</script>`;
  const settings = { "supabase-url": stack.supabase, "publishable-key": stack.publishableKey, "behest-url": stack.gateway };
  const filled = Object.entries(settings).reduce(
    (html, [name, value]) => html.replace(new RegExp(`data-${name}="[^"]*"`), `data-${name}="${value}"`),
    html.replace(/<link data-trunk rel="rust".*? \/>/, script),
  );
  files.set(`/${name}`, ["text/html", filled]);
  return `${origin}/${name}`;
}

/** A user of whom the gateway knows nothing yet. */
async function signUp() {
  const user = { email: `${crypto.randomUUID()}@example.com`, password: "correct horse battery" };
  const headers = { apikey: stack.publishableKey, "content-type": "application/json" };
  const answer = await fetch(`${stack.supabase}/auth/v1/signup`, { method: "POST", headers, body: JSON.stringify(user) });
  assert.equal(answer.status, 200);
  return user;
}

for (const name of ["leptos", "yew"]) {
  test(`${name}: sign in, ask, stop, ask again, threads, usage, the next user`, LIMIT, async () => {
    const sources = path.join(root, "examples", name, "src");
    for (const file of await readdir(sources)) {
      assert.ok((await readFile(path.join(sources, file), "utf8")).split("\n").length <= 151, "at most 150 lines");
    }
    const { page: tab, context, complaints } = await openPage(browser);
    await tab.goto(await page(name));
    const signIn = async ({ email, password }) => {
      await tab.getByLabel("Email").fill(email);
      await tab.getByLabel("Password").fill(password);
      await tab.getByRole("button", { name: "Sign in" }).click();
    };
    const first = await signUp();
    await signIn({ ...first, password: "wrong password" });
    await tab.getByRole("alert").filter({ hasText: "Check the address and the password." }).waitFor();
    // The browser itself reports the refusal.
    assert.deepEqual(
      complaints.splice(0).filter((complaint) => !/status of 400/.test(complaint)),
      [],
    );
    await signIn(first);

    const answers = tab.locator("[data-role=assistant]");
    const status = (text) => tab.getByRole("status").filter({ hasText: text }).waitFor();
    const ask = async (question) => {
      await tab.getByLabel("Your question").fill(question);
      await tab.getByRole("button", { name: "Send" }).click();
    };
    await ask("What is a token?");
    await status("complete");
    assert.ok((await answers.last().innerText()).length > 10);
    assert.equal(await tab.getByLabel("Your question").inputValue(), "");
    await ask("Tell me a very long story about everything.");
    await answers
      .nth(1)
      .filter({ hasText: /\w+ \w+/ })
      .waitFor();
    await tab.getByRole("button", { name: "Stop" }).click();
    await status("aborted");
    const half = await answers.last().innerText();
    await tab.getByRole("button", { name: "Again" }).click();
    await status("complete");
    assert.notEqual(await answers.last().innerText(), half);
    await tab.getByRole("button", { name: "Refresh" }).click();
    await tab.locator("output").filter({ hasText: /^\d+ requests, \d+ tokens$/ }).waitFor();

    // A thread is kept by the gateway: left and opened again, it is as it was.
    await tab.getByRole("button", { name: "New thread" }).click();
    await answers.first().waitFor({ state: "detached" });
    await ask("What is a thread?");
    await status("complete");
    const kept = await answers.last().innerText();
    await tab.getByRole("button", { name: "New thread" }).click();
    await answers.first().waitFor({ state: "detached" });
    await tab.getByRole("button", { name: "Refresh" }).click();
    await tab.locator("nav button").first().click();
    await answers.filter({ hasText: kept }).waitFor();
    assert.equal(await tab.locator("nav button").count(), 1, "the one that nothing was asked in is none");
    // The browser itself reports threads that the gateway does not know yet.
    assert.deepEqual(
      complaints.splice(0).filter((complaint) => !/status of 404/.test(complaint)),
      [],
    );

    // Loaded anew, the user is still signed in; signed out, nothing of theirs is left.
    await tab.reload();
    await tab.getByLabel("Your question").waitFor();
    await tab.getByRole("button", { name: "Sign out" }).click();
    await tab.getByLabel("Email").waitFor();
    const keys = () => tab.evaluate(() => Object.keys(localStorage).filter((key) => localStorage[key].includes("token")).length);
    assert.equal(await keys(), 0);

    // The next user finds nothing of the first one's.
    await signIn(await signUp());
    await ask("And who am I?");
    await status("complete");
    assert.equal(await answers.count(), 1);
    await tab.getByRole("button", { name: "Refresh" }).click();
    await tab.locator("output").filter({ hasText: /^1 requests, / }).waitFor();
    assert.equal(await tab.locator("nav button").count(), 0);
    await tab.getByRole("button", { name: "Sign out" }).click();
    await tab.getByLabel("Email").waitFor();
    assert.equal(await keys(), 0);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

/** A tab with both libraries; `context` shares its storage with the other tabs. */
async function tabOf(context) {
  files.set("/both", ["text/html", '<!doctype html><link rel="icon" href="data:,">']);
  const tab = await context.newPage();
  await tab.goto(`${origin}/both`);
  await tab.evaluate(
    async ([url, key]) => {
      const [{ createClient }, rust] = await Promise.all([import("/supabase-js.js"), import("/auth-page.js")]);
      await rust.default({ module_or_path: "/auth-page_bg.wasm" });
      globalThis.supabase = createClient(url, key);
      globalThis.auth = new rust.Auth(url, key);
      globalThis.heard = [];
      auth.onChange((event, user) => heard.push([event, user]));
      supabase.auth.onAuthStateChange((event, session) => heard.push([`js ${event}`, session?.user.id ?? null]));
      globalThis.ours = () => auth.session();
      globalThis.theirs = async () => (await supabase.auth.getSession()).data.session?.user.id;
    },
    [stack.supabase, stack.publishableKey],
  );
  return tab;
}

const both = (tab) => tab.evaluate(async () => [(await ours()) ?? null, (await theirs()) ?? null]);
const hears = (tab, event, user) =>
  tab
    .waitForFunction(([event, user]) => heard.some(([what, who]) => what === event && who === user), [event, user])
    .catch(async () => assert.fail(`no ${event} of ${user} in ${JSON.stringify(await tab.evaluate(() => heard))}`));

test("whoever signs in with one library is signed in with the other, in every tab", LIMIT, async () => {
  const { context, complaints } = await openPage(browser);
  const [one, two] = [await tabOf(context), await tabOf(context)];
  const { email, password } = stack.demoUser;
  const user = await one.evaluate(([email, password]) => auth.signIn(email, password), [email, password]);
  for (const tab of [one, two]) assert.deepEqual(await both(tab), [user, user]);
  await Promise.all([hears(two, "SIGNED_IN", user), hears(two, "js SIGNED_IN", user), hears(one, "js SIGNED_IN", user)]);
  await two.evaluate(async () => (await supabase.auth.signOut({ scope: "local" })).error);
  await Promise.all([hears(one, "SIGNED_OUT", null), hears(two, "SIGNED_OUT", null)]);
  for (const tab of [one, two]) assert.deepEqual(await both(tab), [null, null]);

  const other = await two.evaluate(async () => (await supabase.auth.signInAnonymously()).data.user.id);
  await Promise.all([hears(one, "SIGNED_IN", other), hears(two, "SIGNED_IN", other)]);
  for (const tab of [one, two]) assert.deepEqual(await both(tab), [other, other]);
  await one.evaluate(() => auth.signOut());
  await hears(two, "js SIGNED_OUT", null);
  for (const tab of [one, two]) assert.deepEqual(await both(tab), [null, null]);
  assert.deepEqual(complaints, []);
  await context.close();
});

test(`${ROUNDS} rounds of both libraries renewing at once in two tabs: nobody is signed out`, LIMIT, async () => {
  const { context } = await openPage(browser);
  const tabs = [await tabOf(context), await tabOf(context)];
  const user = await tabs[0].evaluate(async () => (await supabase.auth.signInAnonymously()).data.user.id);
  const starter = await context.newPage();
  await starter.goto(`${origin}/both`);
  for (const tab of tabs) {
    await tab.evaluate(() => {
      globalThis.renew = async () => {
        const [mine, its] = await Promise.all([auth.refresh(), supabase.auth.refreshSession()]);
        return [mine, its.data.session?.user.id ?? its.error?.name ?? null];
      };
    });
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    const renewed = await renewAtOnce(starter, tabs);
    for (const [ours, theirs] of renewed) {
      assert.equal(ours, user, `round ${round}`);
      // supabase-js says so when somebody else was quicker, and goes on with what that one stored.
      assert.ok([user, "AuthRefreshDiscardedError"].includes(theirs), `round ${round}: ${theirs}`);
    }
    for (const tab of tabs) assert.deepEqual(await both(tab), [user, user], `round ${round}`);
  }
  for (const tab of tabs) {
    assert.ok(!(await tab.evaluate(() => heard.some(([event]) => event.endsWith("SIGNED_OUT")))));
  }
  const known = await tabs[0].evaluate(async () => (await supabase.auth.getUser()).data.user?.id);
  assert.equal(known, user, "the session still stands at the server");
  await context.close();
});
