/** Clients written by others, unchanged but for URLs and keys, against behest-local. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { createBrowserClient, createServerClient } from "@supabase/ssr";
import { createClient } from "@supabase/supabase-js";
import { build } from "esbuild";
import OpenAI from "openai";

import { launch, openPage } from "./support/browser.mjs";
import { LIMIT } from "./support/limits.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";

const PASSWORD = "correct horse battery";
const question = (content) => ({ model: "default", messages: [{ role: "user", content }] });

let stack;

before(async () => {
  // No page of this project takes part: what stands in for its package does not matter.
  stack = await startStack({ packageFolder: wwwFolder, more: ["--block", "forbidden-word"] });
});

after(() => stack?.stop());

/** No test listens to realtime, but supabase-js wants the class to exist, which Node has from version 22 on. */
class NoWebSocket {}

const memory = () => {
  const items = new Map();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
};

const supabaseClient = (auth = {}, key = stack.publishableKey) =>
  createClient(stack.supabase, key, {
    auth: { storage: memory(), autoRefreshToken: false, ...auth },
    realtime: { transport: NoWebSocket },
  });

/** `data` of a reply of supabase-js, which returns errors instead of throwing them. */
async function ok(promise) {
  const { data, error } = await promise;
  assert.equal(error, null);
  return data;
}

async function failure(promise) {
  const { error } = await promise;
  assert.ok(error, "it should have failed");
  return error;
}

const newAddress = () => `${crypto.randomUUID()}@example.com`;

async function signedIn() {
  const supabase = supabaseClient();
  const email = newAddress();
  const { user, session } = await ok(supabase.auth.signUp({ email, password: PASSWORD, options: { data: { name: "Ada" } } }));
  return { supabase, email, user, session };
}

const lastLetter = async (email) => {
  const letters = await (await fetch(`${stack.supabase}/_local/mail`)).json();
  return letters.find((letter) => letter.to === email);
};

const lastCode = async (email) => (await lastLetter(email)).code;

/** The client of a server that holds the secret key. */
async function ofServer() {
  const settings = await (await fetch(`${stack.dashboard}/settings`)).text();
  return supabaseClient({ persistSession: false }, /sb_secret_\w+/.exec(settings)[0]);
}

test("supabase-js: an administrator lists, makes, invites, changes, bans and deletes users", LIMIT, async () => {
  const { admin } = (await ofServer()).auth;
  const email = newAddress();
  const attributes = { email, password: PASSWORD, email_confirm: true, user_metadata: { name: "Ada" } };
  const { user } = await ok(admin.createUser(attributes));
  assert.deepEqual([user.email, user.user_metadata], [email, { name: "Ada" }]);
  assert.equal((await failure(admin.createUser(attributes))).code, "email_exists");
  const everybody = await ok(admin.listUsers({ page: 1, perPage: 1 }));
  assert.deepEqual([everybody.users.length, everybody.nextPage, everybody.total > 1], [1, 2, true]);
  assert.equal((await ok(admin.getUserById(user.id))).user.email, email);
  const changed = await ok(admin.updateUserById(user.id, { app_metadata: { role: "editor" }, user_metadata: { name: "Lovelace" } }));
  assert.deepEqual([changed.user.app_metadata.role, changed.user.user_metadata.name], ["editor", "Lovelace"]);

  const signIn = () => supabaseClient().auth.signInWithPassword({ email, password: PASSWORD });
  await ok(signIn());
  await ok(admin.updateUserById(user.id, { ban_duration: "24h" }));
  assert.equal((await failure(signIn())).code, "user_banned");
  await ok(admin.updateUserById(user.id, { ban_duration: "none" }));
  await ok(signIn());

  const { properties } = await ok(admin.generateLink({ type: "magiclink", email }));
  const { session } = await ok(supabaseClient().auth.verifyOtp({ token_hash: properties.hashed_token, type: "email" }));
  assert.equal(session.user.id, user.id);
  await ok(admin.deleteUser(user.id));
  const { user: guest } = await ok(admin.inviteUserByEmail(newAddress(), { data: { team: "blue" } }));
  assert.equal(guest.user_metadata.team, "blue");
  assert.equal((await failure(admin.getUserById(user.id))).code, "user_not_found");
  assert.equal((await failure(supabaseClient().auth.admin.listUsers())).code, "not_admin");
});

test("supabase-js: a server makes a user of a given id and role, and reads everybody's profile", LIMIT, async () => {
  const server = await ofServer();
  const [id, email] = [crypto.randomUUID(), newAddress()];
  const { user } = await ok(server.auth.admin.createUser({ id, email, password: PASSWORD, role: "editor" }));
  assert.deepEqual([user.id, user.role], [id, "editor"]);
  assert.equal((await ok(server.auth.admin.listUsers({ perPage: 1 }))).users[0].id, id, "the newest comes first");
  assert.deepEqual((await ok(server.auth.admin.mfa.listFactors({ userId: id }))).factors, []);
  const { user: other } = await signedIn();
  const both = await ok(server.from("profiles").select("id, plan").in("id", [id, other.id]).order("id", { ascending: false }));
  assert.deepEqual(both, [id, other.id].sort().reverse().map((id) => ({ id, plan: "free" })));
  const { count } = await server.from("profiles").select("*", { count: "exact", head: true });
  assert.ok(count >= 2, count);
});

test("supabase-js: what is missing is refused by name", LIMIT, async () => {
  const { supabase } = await signedIn();
  const { auth } = supabase;
  const { identities } = await ok(auth.getUserIdentities());
  for (const [call, code] of [
    [auth.linkIdentity({ provider: "google", options: { skipBrowserRedirect: true } }), "manual_linking_disabled"],
    [auth.unlinkIdentity(identities[0]), "manual_linking_disabled"],
    [auth.mfa.enroll({ factorType: "totp" }), "mfa_totp_enroll_not_enabled"],
    [auth.mfa.unenroll({ factorId: crypto.randomUUID() }), "mfa_factor_not_found"],
    [auth.signInWithSSO({ domain: "example.com" }), "saml_provider_disabled"],
    [auth.signInWithIdToken({ provider: "google", token: "x" }), "provider_disabled"],
    [auth.signInWithOtp({ phone: "+491234567" }), "phone_provider_disabled"],
    [auth.resend({ type: "sms", phone: "+491234567" }), "phone_provider_disabled"],
    [auth.reauthenticate(), "not_found"],
  ])
    assert.equal((await failure(call)).code, code);
  assert.match((await failure(supabase.storage.listBuckets())).message, /behest-local has/);
});

test("supabase-js: a letter's hash signs in once", LIMIT, async () => {
  const email = newAddress();
  await ok(supabaseClient().auth.signInWithOtp({ email, options: { emailRedirectTo: stack.page } }));
  const { token_hash, link } = await lastLetter(email);
  assert.equal(new URL(link).searchParams.get("redirect_to"), stack.page);
  const supabase = supabaseClient();
  assert.equal((await ok(supabase.auth.verifyOtp({ token_hash, type: "email" }))).user.email, email);
  assert.equal((await failure(supabase.auth.verifyOtp({ token_hash, type: "email" }))).code, "otp_expired");
});

test("supabase-js: from sign-up to sign-out", LIMIT, async () => {
  const { supabase, email, user } = await signedIn();
  assert.equal(user.user_metadata.name, "Ada");
  const taken = await failure(supabaseClient().auth.signUp({ email, password: PASSWORD }));
  assert.deepEqual([taken.status, taken.code], [422, "user_already_exists"]);
  const weak = await failure(supabaseClient().auth.signUp({ email: newAddress(), password: "short" }));
  assert.deepEqual([weak.name, weak.reasons], ["AuthWeakPasswordError", ["length"]]);
  const wrong = await failure(supabase.auth.signInWithPassword({ email, password: "wrong" }));
  assert.deepEqual([wrong.status, wrong.code], [400, "invalid_credentials"]);

  const again = await ok(supabase.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal(again.user.id, user.id);
  assert.equal((await ok(supabase.auth.getUser())).user.email, email);
  const { claims } = await ok(supabase.auth.getClaims());
  assert.deepEqual([claims.sub, claims.role, claims.aal], [user.id, "authenticated", "aal1"]);

  const { user: changed } = await ok(supabase.auth.updateUser({ data: { name: "Lovelace" }, password: "another horse" }));
  assert.equal(changed.user_metadata.name, "Lovelace");
  const same = await failure(supabase.auth.updateUser({ password: "another horse" }));
  assert.equal(same.code, "same_password");

  const { plan } = await ok(supabase.from("profiles").select("plan").eq("id", user.id).single());
  assert.equal(plan, "free");
  const none = await failure(supabase.from("profiles").select("plan").eq("id", crypto.randomUUID()).single());
  assert.equal(none.code, "PGRST116");
  const renamed = await ok(supabase.from("profiles").select("level:plan").neq("plan", "max").in("plan", ["free", "pro"]).not("id", "is", null));
  assert.deepEqual(renamed, [{ level: "free" }]);
  for (const count of ["exact", "planned"]) {
    const counted = await supabase.from("profiles").select("*", { count, head: true });
    assert.deepEqual([counted.error, counted.count], [null, 1]);
  }
  assert.equal((await failure(supabase.rpc("hello"))).code, "PGRST202");

  const bundle = await ok(supabase.functions.invoke("behest-token", { method: "POST" }));
  assert.deepEqual(Object.keys(bundle).sort(), ["expiresAt", "sessionId", "token", "ttl"]);

  const token = (await ok(supabase.auth.getSession())).session.access_token;
  await ok(supabase.auth.signOut().then((reply) => ({ data: true, ...reply })));
  assert.equal((await ok(supabase.auth.getSession())).session, null);
  const gone = await failure(supabase.auth.getUser(token));
  assert.equal(gone.name, "AuthSessionMissingError");
  const refused = await failure(supabase.functions.invoke("behest-token", { method: "POST" }));
  assert.equal(refused.context.status, 401);
});

test("supabase-js: anonymous, then permanent", LIMIT, async () => {
  const supabase = supabaseClient();
  const { user } = await ok(supabase.auth.signInAnonymously());
  assert.equal(user.is_anonymous, true);
  const email = newAddress();
  const { user: permanent } = await ok(supabase.auth.updateUser({ email, password: PASSWORD }));
  assert.deepEqual([permanent.id, permanent.is_anonymous, permanent.email], [user.id, false, email]);
});

test("supabase-js: a code by mail", LIMIT, async () => {
  const supabase = supabaseClient();
  const email = newAddress();
  await ok(supabase.auth.signInWithOtp({ email }));
  const bad = await failure(supabase.auth.verifyOtp({ email, token: "nonsense", type: "email" }));
  assert.deepEqual([bad.status, bad.code], [403, "otp_expired"]);
  const { user, session } = await ok(supabase.auth.verifyOtp({ email, token: await lastCode(email), type: "email" }));
  assert.equal(user.email, email);
  assert.ok(session.access_token);
});

/** A browser's cookies, as a server's framework hands them out. */
function cookieJar() {
  const jar = new Map();
  return {
    getAll: () => [...jar].map(([name, value]) => ({ name, value })),
    setAll: (all) => all.forEach(({ name, value, options }) => (options?.maxAge === 0 ? jar.delete(name) : jar.set(name, value))),
  };
}

const ssrClient = (cookies) =>
  createServerClient(stack.supabase, stack.publishableKey, { cookies, realtime: { transport: NoWebSocket } });

test("@supabase/ssr: a session in cookies, from one request to the next", LIMIT, async () => {
  const cookies = cookieJar();
  const email = newAddress();
  await ok(ssrClient(cookies).auth.signUp({ email, password: PASSWORD }));
  assert.ok(cookies.getAll().length > 0, "the session is in the cookies");

  const next = ssrClient(cookies);
  const { user } = await ok(next.auth.getUser());
  assert.equal(user.email, email);
  assert.equal((await ok(next.auth.getClaims())).claims.sub, user.id);
  assert.equal((await ok(next.from("profiles").select("plan").single())).plan, "free");
  const bundle = await ok(next.functions.invoke("behest-token", { method: "POST" }));
  assert.equal(bundle.ttl, 900);

  const before = (await ok(next.auth.getSession())).session.refresh_token;
  await ok(next.auth.refreshSession());
  const { session } = await ok(ssrClient(cookies).auth.getSession());
  assert.notEqual(session.refresh_token, before, "the next request has the renewed one");

  assert.equal((await ssrClient(cookies).auth.signOut()).error, null);
  assert.deepEqual(cookies.getAll(), []);
  assert.equal((await ssrClient(cookies).auth.getUser()).data.user, null);
});

test("@supabase/ssr: a browser begins with PKCE, the server of its pages ends it", LIMIT, async () => {
  const cookies = cookieJar();
  const options = { cookies, isSingleton: false, realtime: { transport: NoWebSocket } };
  const browser = createBrowserClient(stack.supabase, stack.publishableKey, options);
  const email = newAddress();
  await ok(browser.auth.signInWithOtp({ email, options: { emailRedirectTo: `${stack.page}/callback` } }));
  const { link } = await lastLetter(email);
  const back = new URL((await fetch(link, { redirect: "manual" })).headers.get("location"));
  assert.equal(back.origin + back.pathname, `${stack.page}/callback`);
  const { user } = await ok(ssrClient(cookies).auth.exchangeCodeForSession(back.searchParams.get("code")));
  assert.equal(user.email, email);
  assert.equal((await ok(ssrClient(cookies).auth.getUser())).user.id, user.id);
});

test("supabase-js: a provider with PKCE", LIMIT, async () => {
  const supabase = supabaseClient({ flowType: "pkce" });
  const redirectTo = `${stack.page}/after`;
  const { url } = await ok(supabase.auth.signInWithOAuth({ provider: "google", options: { redirectTo, skipBrowserRedirect: true } }));
  assert.match(await (await fetch(url)).text(), /Sign in with google/);
  const form = new URLSearchParams(new URL(url).searchParams);
  const email = newAddress();
  form.set("email", email);
  const reply = await fetch(new URL("authorize", url), { method: "POST", body: form, redirect: "manual" });
  assert.equal(reply.status, 303);
  const back = new URL(reply.headers.get("location"));
  assert.equal(back.origin + back.pathname, redirectTo);
  const code = back.searchParams.get("code");
  const { user } = await ok(supabase.auth.exchangeCodeForSession(code));
  assert.deepEqual([user.email, user.app_metadata.provider], [email, "google"]);
});

test("supabase-js: two tabs refresh at once", LIMIT, async () => {
  const { supabase: first, session } = await signedIn();
  const second = supabaseClient();
  await ok(second.auth.setSession(session));
  const [a, b] = await Promise.all([ok(first.auth.refreshSession()), ok(second.auth.refreshSession())]);
  assert.equal(a.user.id, b.user.id);
  assert.notEqual(a.session.refresh_token, session.refresh_token);
  for (const tab of [first, second]) assert.ok((await ok(tab.auth.getUser())).user);
  const unknown = await failure(supabaseClient().auth.refreshSession({ refresh_token: "abcdefghijkl" }));
  assert.deepEqual([unknown.status, unknown.code], [400, "refresh_token_not_found"]);
});

test("supabase-js: a refresh token that was stolen ends the session of thief and owner", LIMIT, async () => {
  const strict = await startStack({ packageFolder: wwwFolder, more: ["--reuse-interval-secs", "0"] });
  try {
    const client = () =>
      createClient(strict.supabase, strict.publishableKey, {
        auth: { storage: memory(), autoRefreshToken: false },
        realtime: { transport: NoWebSocket },
      });
    const [owner, thief] = [client(), client()];
    const { session } = await ok(owner.auth.signUp({ email: newAddress(), password: PASSWORD }));
    await ok(owner.auth.refreshSession());
    await ok(owner.auth.refreshSession());
    const caught = await failure(thief.auth.refreshSession(session));
    assert.deepEqual([caught.status, caught.code], [400, "refresh_token_already_used"]);
    assert.equal((await failure(owner.auth.refreshSession())).code, "refresh_token_already_used");
  } finally {
    await strict.stop();
  }
});

test("supabase-js: sign-out of others and of this one alone", LIMIT, async () => {
  const { supabase: first, email } = await signedIn();
  const second = supabaseClient();
  await ok(second.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal((await first.auth.signOut({ scope: "others" })).error, null);
  assert.ok((await ok(first.auth.getUser())).user);
  assert.ok(await failure(second.auth.refreshSession()), "its session is gone");
  const third = supabaseClient();
  await ok(third.auth.signInWithPassword({ email, password: PASSWORD }));
  assert.equal((await third.auth.signOut({ scope: "local" })).error, null);
  assert.ok((await ok(first.auth.getUser())).user, "the other one stays");
});

async function openaiClient(options = {}) {
  const { supabase, user } = await signedIn();
  const { token, sessionId } = await ok(supabase.functions.invoke("behest-token", { method: "POST" }));
  const defaultHeaders = { "X-Session-Id": sessionId };
  const openai = new OpenAI({ apiKey: token, baseURL: `${stack.gateway}/v1`, defaultHeaders, maxRetries: 0, ...options });
  return { openai, user, token };
}

test("openai for Node: a whole answer, a stream, models", LIMIT, async () => {
  const { openai } = await openaiClient();
  const whole = await openai.chat.completions.create(question("Hi!"));
  assert.match(whole.choices[0].message.content, /“Hi!”/);
  assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
  const stream = await openai.chat.completions.create({ ...question("Hi!"), stream: true, stream_options: { include_usage: true } });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.deepEqual(usage, whole.usage);
  const final = await openai.chat.completions.stream(question("Hi!")).finalContent();
  assert.equal(final, text);
  assert.equal((await openai.models.retrieve("behest-local")).id, "behest-local");
  await assert.rejects(openai.models.retrieve("other"), OpenAI.NotFoundError);
  const models = await openai.models.list();
  assert.deepEqual(models.data.map(({ id }) => id), ["behest-local"]);
});

test("openai for Node: an upload, which is still being sent when it is refused, is refused by name", LIMIT, async () => {
  const file = new File(["x".repeat(1_000_000)], "a.txt");
  const { openai } = await openaiClient();
  await assert.rejects(openai.files.create({ file, purpose: "assistants" }), { status: 404, code: "not_found" });
});

test("openai for Node: an abort ends the answer at the gateway", LIMIT, async () => {
  const { openai } = await openaiClient();
  const before = await stack.counters();
  const stream = await openai.chat.completions.create({ ...question("Tell me everything."), stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  const deadline = Date.now() + 10_000;
  while ((await stack.counters())("chat.aborted") === before("chat.aborted")) assert.ok(Date.now() < deadline);
});

test("openai for Node: errors keep their class, code and trace id", LIMIT, async () => {
  const { openai, token } = await openaiClient();
  const caught = (promise) => promise.then(() => assert.fail("it should have failed"), (error) => error);
  const blocked = await caught(openai.chat.completions.create(question("a forbidden-word")));
  assert.deepEqual([blocked.status, blocked.code], [451, "content_blocked"]);
  const bad = await caught(openai.chat.completions.create({ model: "default", messages: [] }));
  assert.ok(bad instanceof OpenAI.BadRequestError, String(bad));
  assert.equal(bad.code, "validation_error");
  const forged = new OpenAI({ apiKey: `${token}x`, baseURL: `${stack.gateway}/v1/`, maxRetries: 0 });
  const refused = await caught(forged.chat.completions.create(question("Hi!")));
  assert.ok(refused instanceof OpenAI.AuthenticationError, String(refused));
  assert.equal(refused.code, "invalid_token");
  assert.match(refused.headers.get("x-trace-id"), /^[0-9a-f-]{36}$/);
});

test("openai for Node: a thread by its header", LIMIT, async () => {
  const { openai, token } = await openaiClient();
  const headers = { "X-Thread-Id": "a thread" };
  await openai.chat.completions.create(question("One"), { headers });
  const second = await openai.chat.completions.create(question("Two"), { headers });
  assert.match(second.choices[0].message.content, /in a conversation of 3 messages/);
  const threads = await (await fetch(`${stack.gateway}/v1/threads`, { headers: { authorization: `Bearer ${token}` } })).json();
  assert.deepEqual(threads.map(({ id, title }) => [id, title]), [["a thread", "One"]]);
});

test("the quickstart's page: supabase-js, the token function and openai in a browser", LIMIT, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "quickstart-"));
  const contents = 'export { createClient } from "@supabase/supabase-js"; export { default as OpenAI } from "openai";';
  const stdin = { contents, resolveDir: import.meta.dirname };
  const outfile = path.join(folder, "libraries.js");
  await build({ stdin, bundle: true, format: "esm", platform: "browser", target: "es2022", outfile });
  await writeFile(path.join(folder, "index.html"), "<!doctype html><title>Quickstart</title><link rel=icon href=data:,>");
  const stack = await startStack({ packageFolder: folder, www: folder });
  const browser = await launch();
  try {
    const { page, complaints } = await openPage(browser);
    await page.goto(stack.page);
    const { supabase: supabaseUrl, gateway, publishableKey } = stack;
    const settings = { supabaseUrl, gateway, publishableKey, email: newAddress(), password: PASSWORD };
    const text = await page.evaluate(async ({ supabaseUrl, gateway, publishableKey, email, password }) => {
      const { createClient, OpenAI } = await import("/libraries.js");
      const supabase = createClient(supabaseUrl, publishableKey);
      const { error } = await supabase.auth.signUp({ email, password });
      if (error) throw error;
      const { data } = await supabase.auth.getSession();
      const reply = await fetch(`${supabaseUrl}/functions/v1/behest-token`, {
        method: "POST",
        headers: { Authorization: `Bearer ${data.session.access_token}` },
      });
      const { token, sessionId } = await reply.json();
      const openai = new OpenAI({
        apiKey: token,
        baseURL: `${gateway}/v1`,
        defaultHeaders: { "X-Session-Id": sessionId },
        dangerouslyAllowBrowser: true,
      });
      const stream = await openai.chat.completions.create({
        model: "default",
        messages: [{ role: "user", content: "Hello from the quickstart" }],
        stream: true,
      });
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
      return text;
    }, settings);
    assert.match(text, /Hello from the quickstart/);
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
    await stack.stop();
    await rm(folder, { recursive: true });
  }
});
