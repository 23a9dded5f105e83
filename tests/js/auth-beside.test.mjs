/** Sign-in of `behest-client/auth` beside supabase-js: what both send, and what the same odd answers mean to both. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createClient as createSupabase } from "@supabase/supabase-js";

import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { PASSWORD } from "./support/sign-in-cases.mjs";

const URL_OF_PROJECT = "https://project.example";
const KEY = "sb_publishable_x";
const email = "ada@example.com";
const phone = "+491701234567";

let installed;
let createClient;

before(async () => {
  installed = await installPackage();
  ({ createClient } = await installed.load("auth-node.js"));
});
after(() => installed?.remove());

/** A place in which somebody is signed in. */
function place(changes) {
  const soon = Math.round(Date.now() / 1000) + 3600;
  const user = { id: "user-1", aud: "authenticated", email };
  const session = { access_token: "a", refresh_token: "r", token_type: "bearer", expires_in: 3600, expires_at: soon, user, ...changes };
  const kept = new Map([["sb-project-auth-token", JSON.stringify(session)]]);
  return {
    getItem: (name) => kept.get(name) ?? null,
    setItem: (name, text) => void kept.set(name, text),
    removeItem: (name) => void kept.delete(name),
  };
}

const ours = (storage, fetch) =>
  createClient({ url: URL_OF_PROJECT, publishableKey: KEY, behestUrl: "https://gateway.example", storage, fetch }).auth;

const theirs = (storage, fetch) =>
  createSupabase(URL_OF_PROJECT, KEY, {
    auth: { storage, flowType: "pkce", autoRefreshToken: false, detectSessionInUrl: false },
    // Node.js 20 has no WebSocket, and nobody here needs one.
    realtime: { transport: class {} },
    global: { fetch },
  }).auth;

test("what is sent is what supabase-js sends", LIMIT, async () => {
  const options = { captchaToken: "cap", data: { name: 'Ada "L"' } };
  const asks = [
    (auth) => auth.signInWithPassword({ email, password: 'p"w', options: { captchaToken: "cap" } }),
    (auth) => auth.signInWithPassword({ phone, password: PASSWORD }),
    (auth) => auth.signUp({ email, password: PASSWORD, options: { ...options, emailRedirectTo: "https://a.b/?c=d" } }),
    (auth) => auth.signUp({ phone, password: PASSWORD, options }),
    (auth) => auth.signInAnonymously({ options }),
    (auth) => auth.signInAnonymously(),
    (auth) => auth.signInAnonymously(null),
    (auth) => auth.signInWithOtp({ email, options: { ...options, shouldCreateUser: false, emailRedirectTo: "https://a.b/" } }),
    (auth) => auth.signInWithOtp({ email }),
    (auth) => auth.signInWithOtp({ phone, options }),
    (auth) => auth.resetPasswordForEmail(email, { captchaToken: "cap", redirectTo: "https://a.b/" }),
    (auth) => auth.updateUser({ email, data: { name: "Ada" } }, { emailRedirectTo: "https://a.b/" }),
    (auth) => auth.updateUser({ phone, nonce: "123456" }),
  ];
  const sentBy = async (make) => {
    const sent = [];
    const fetch = async (input, init) => {
      const request = new Request(input, init);
      const body = await request.json();
      // A new one each time.
      if (body.code_challenge) body.code_challenge = body.code_challenge.length;
      // What is the server's default.
      if (body.channel === "sms") delete body.channel;
      for (const [name, value] of Object.entries(body)) if (value === null) delete body[name];
      sent.push([request.method, new URL(request.url).pathname, [...new URL(request.url).searchParams], body]);
      return new Response('{"code":"weak_password"}', { status: 422 });
    };
    const auth = make(place(), fetch);
    for (const ask of asks) assert.ok((await ask(auth)).error);
    return sent;
  };
  const expected = await sentBy(theirs);
  assert.equal(expected.length, asks.length);
  assert.deepEqual(await sentBy(ours), expected);
});

test("what is answered means what it means to supabase-js", LIMIT, async (t) => {
  t.mock.method(console, "error", () => {});
  let count = 0;
  const page = () => new Response("<html>Pay first.", { headers: { "content-type": "text/html" } });
  const change = (auth) => auth.verifyOtp({ email, token: "123456", type: "email_change" });
  for (const [answer, ask] of [
    // The first of two codes.
    [() => Response.json({ msg: "Confirmation link accepted.", code: 200 }), change],
    [page, change],
    [page, (auth) => auth.signInWithOtp({ email })],
    [page, (auth) => auth.resetPasswordForEmail(email)],
    // Another one each time: a listener that asks would be told for ever.
    [() => Response.json({ id: "user-1", seen: (count += 1) }), (auth) => auth.getUser()],
  ]) {
    const meanings = [];
    for (const make of [theirs, ours]) {
      const heard = [];
      const auth = make(place(), async () => answer());
      auth.onAuthStateChange((event) => heard.push(event));
      while (!heard.includes("INITIAL_SESSION")) await new Promise(setImmediate);
      heard.length = 0;
      const { data, error } = await ask(auth);
      meanings.push({ id: data?.user?.id, session: data?.session, failed: error !== null, hasData: data !== null, heard });
    }
    assert.deepEqual(meanings[1], meanings[0], `${ask}`);
  }
});

test("a token that is given is not taken for who is signed in", LIMIT, async () => {
  const sent = [];
  const auth = ours(place(), async ({ url }) => {
    sent.push(url);
    return Response.json({ id: "user-1" });
  });
  for (const ask of [() => auth.getUser("another.users.token"), () => auth.refreshSession({ refresh_token: "another" })]) {
    const { data, error } = await ask();
    assert.equal(error.reason, "invalid_request");
    assert.equal(data.user, null);
  }
  assert.deepEqual(sent, []);
  assert.equal((await auth.getUser()).data.user.id, "user-1");
});

test("whatever a fetch gives, no call waits for ever", LIMIT, async () => {
  const headers = new Headers();
  const text = async () => "{}";
  for (const response of [{}, { headers, text }, { status: 2, headers, text }, { status: 0, type: "opaqueredirect", headers, text }, null]) {
    const auth = ours(place({ expires_at: 1_000_000_000 }), async () => response);
    const { error } = await auth.signInWithPassword({ email, password: PASSWORD });
    assert.equal(error.reason, "network");
    assert.equal((await auth.getSession()).error.reason, "network");
  }
});

test("a storage that answers later is none, and the session lives as long as the client", LIMIT, async () => {
  const later = { getItem: async () => null, setItem: async () => {}, removeItem: async () => {} };
  const user = { id: "user-1" };
  const auth = ours(later, async () => Response.json({ access_token: "a", refresh_token: "r", expires_in: 3600, user }));
  const { data } = await auth.signInAnonymously();
  assert.equal((await auth.getSession()).data.session?.access_token, data.session.access_token);
});
