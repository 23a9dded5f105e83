/**
 * What signing in can come to, one by one. Each case is run with supabase-js and with `behest-client/auth`, through the same
 * calls: `make()` gives an `auth` with a storage of its own, `make(storage)` one over that. `world` has what is not the
 * library's: letters, the provider's page, and addresses nobody had before.
 */
import assert from "node:assert/strict";

export const PASSWORD = "correct horse battery";

const succeeded = ({ data, error }) => {
  assert.equal(error, null, String(error));
  return data;
};
const failed = ({ error }, code, status) => {
  assert.ok(error instanceof Error, "an error");
  assert.deepEqual([error.code, error.status], [code, status], error.message);
};
const signUp = async (auth, email) => succeeded(await auth.signUp({ email, password: PASSWORD }));

/** Every event and the user's id, after the one that a listener is greeted with. */
async function listening(auth) {
  const heard = [];
  const { subscription } = auth.onAuthStateChange((event, session) => heard.push([event, session?.user.id ?? null])).data;
  await heardOf(heard, 1);
  return { heard, subscription };
}
/** Listeners are told on their own time. */
async function heardOf(heard, count) {
  while (heard.length < count) await new Promise(setImmediate);
}

export const CASES = {
  async "a sign-up signs in"({ make, address }) {
    const [auth, email] = [make(), address()];
    const { user, session } = await signUp(auth, email);
    assert.deepEqual([user.email, session.user.id, session.token_type], [email, user.id, "bearer"]);
    assert.equal(succeeded(await auth.getSession()).session.access_token, session.access_token);
    assert.equal(succeeded(await auth.getUser()).user.id, user.id);
  },

  async "nobody is signed in"({ make }) {
    const auth = make();
    assert.deepEqual(succeeded(await auth.getSession()), { session: null });
    for (const answer of [await auth.getUser(), await auth.refreshSession(), await auth.updateUser({ password: PASSWORD })]) {
      assert.ok(answer.error instanceof Error);
      assert.equal(answer.data.user, null);
    }
    assert.equal((await auth.signOut()).error, null);
  },

  async "passwords"({ make, address }) {
    const [auth, email] = [make(), address()];
    const { user } = await signUp(auth, email);
    const other = make();
    const refused = await other.signInWithPassword({ email, password: "wrong horse" });
    failed(refused, "invalid_credentials", 400);
    assert.deepEqual([refused.data.user, refused.data.session], [null, null]);
    const { session, user: same } = succeeded(await other.signInWithPassword({ email, password: PASSWORD }));
    assert.deepEqual([same.id, session.user.email], [user.id, email]);
  },

  async "addresses that are taken, passwords that are weak, telephones that are off"({ make, address }) {
    const [auth, email] = [make(), address()];
    await signUp(auth, email);
    failed(await auth.signUp({ email, password: PASSWORD }), "user_already_exists", 422);
    failed(await auth.signUp({ email: address(), password: "short" }), "weak_password", 422);
    failed(await auth.signInWithPassword({ phone: "+491701234567", password: PASSWORD }), "phone_provider_disabled", 422);
  },

  async "anonymous users become permanent"({ make, address }) {
    const [auth, email] = [make(), address()];
    const { user } = succeeded(await auth.signInAnonymously({ options: { data: { name: "Ada", "né": 'a"b' } } }));
    assert.deepEqual([user.is_anonymous, user.user_metadata], [true, { name: "Ada", "né": 'a"b' }]);
    const changes = { email, password: PASSWORD, data: { name: null, colour: "green" } };
    const { user: changed } = succeeded(await auth.updateUser(changes));
    assert.deepEqual([changed.id, changed.email, changed.user_metadata], [user.id, email, { "né": 'a"b', colour: "green" }]);
    assert.equal(succeeded(await auth.getSession()).session.user.email, email);
    failed(await auth.updateUser({ password: PASSWORD }), "same_password", 422);
    succeeded(await make().signInWithPassword({ email, password: PASSWORD }));
  },

  async "codes"({ make, address, letter }) {
    const [auth, email] = [make(), address()];
    assert.deepEqual(succeeded(await auth.signInWithOtp({ email })).session, null);
    failed(await auth.verifyOtp({ email, token: "abcdef", type: "email" }), "otp_expired", 403);
    const { code } = await letter(email);
    const { user } = succeeded(await auth.verifyOtp({ email, token: code, type: "email" }));
    assert.equal(user.email, email);
    failed(await make().verifyOtp({ email, token: code, type: "email" }), "otp_expired", 403);
    succeeded(await auth.signInWithOtp({ email }));
    const { token_hash } = await letter(email);
    const by = succeeded(await make().verifyOtp({ token_hash, type: "magiclink" }));
    assert.equal(by.session.user.id, user.id);
  },

  async "codes make no users where they may not"({ make, address }) {
    failed(await make().signInWithOtp({ email: address(), options: { shouldCreateUser: false } }), "otp_disabled", 422);
  },

  async "links, in this browser and in another one"({ make, address, letter, open, page }) {
    const [auth, email] = [make(), address()];
    succeeded(await auth.signInWithOtp({ email, options: { emailRedirectTo: `${page}/welcome` } }));
    const back = new URL(await open((await letter(email)).link));
    assert.equal(back.pathname, "/welcome");
    const code = back.searchParams.get("code");
    assert.ok((await make().exchangeCodeForSession(code)).error instanceof Error, "begun elsewhere");
    const { user, session } = succeeded(await auth.exchangeCodeForSession(code));
    assert.deepEqual([user.email, session.user.id], [email, user.id]);
    assert.ok((await auth.exchangeCodeForSession(code)).error instanceof Error, "a code is good once");
  },

  async "forgotten passwords"({ make, address, letter }) {
    const [auth, email] = [make(), address()];
    await signUp(make(), email);
    succeeded(await auth.resetPasswordForEmail(email));
    const { heard, subscription } = await listening(auth);
    const { token_hash } = await letter(email);
    const { user } = succeeded(await auth.verifyOtp({ token_hash, type: "recovery" }));
    await heardOf(heard, 2);
    assert.deepEqual(heard[1], ["PASSWORD_RECOVERY", user.id]);
    subscription.unsubscribe();
    succeeded(await auth.updateUser({ password: "another horse battery" }));
    succeeded(await make().signInWithPassword({ email, password: "another horse battery" }));
    // That an address is unknown is told to nobody.
    succeeded(await make().resetPasswordForEmail(address()));
  },

  async "providers"({ make, address, provider, page }) {
    const [auth, email] = [make(), address()];
    const options = { redirectTo: `${page}/`, scopes: "repo user", queryParams: { prompt: "consent" }, skipBrowserRedirect: true };
    const { url, provider: name } = succeeded(await auth.signInWithOAuth({ provider: "github", options }));
    const asked = new URL(url).searchParams;
    assert.equal(name, "github");
    assert.deepEqual([asked.get("provider"), asked.get("scopes"), asked.get("prompt")], ["github", "repo user", "consent"]);
    assert.equal(asked.get("code_challenge_method"), "s256");
    const code = new URL(await provider(url, email)).searchParams.get("code");
    const { session } = succeeded(await auth.exchangeCodeForSession(code));
    assert.equal(session.user.email, email);
    assert.ok(session.provider_token);
  },

  async "refreshing rotates the tokens"({ make, address }) {
    const auth = make();
    const { session: first } = await signUp(auth, address());
    const { session, user } = succeeded(await auth.refreshSession());
    assert.equal(user.id, first.user.id);
    assert.notEqual(session.refresh_token, first.refresh_token);
    assert.equal(succeeded(await auth.getSession()).session.refresh_token, session.refresh_token);
    succeeded(await auth.getUser());
  },

  async "a session of an earlier visit is renewed once for all who ask"({ make, address, storage, refreshes }) {
    const kept = storage();
    await signUp(make(kept), address());
    const [name, text] = kept.session();
    const expired = { ...JSON.parse(text), expires_at: 1_000_000_000 };
    kept.setItem(name, JSON.stringify(expired));
    const before = await refreshes();
    const auth = make(kept);
    const found = await Promise.all(Array.from({ length: 10 }, () => auth.getSession()));
    assert.equal((await refreshes()) - before, 1);
    const tokens = new Set(found.map((answer) => succeeded(answer).session.refresh_token));
    assert.equal(tokens.size, 1);
    assert.ok(!tokens.has(expired.refresh_token));
  },

  async "sign-outs end what they say"({ make, address }) {
    for (const [scope, isHere, isElsewhere] of [["global", false, false], ["local", false, true], ["others", true, false]]) {
      const [one, two, email] = [make(), make(), address()];
      await signUp(one, email);
      succeeded(await two.signInWithPassword({ email, password: PASSWORD }));
      assert.equal((await one.signOut({ scope })).error, null, scope);
      assert.equal(succeeded(await one.getSession()).session !== null, isHere, scope);
      assert.equal((await two.getUser()).error === null, isElsewhere, scope);
      assert.equal((await two.refreshSession()).error === null, isElsewhere, scope);
    }
    const auth = make();
    await signUp(auth, address());
    assert.equal((await auth.signOut()).error, null);
    assert.equal(succeeded(await auth.getSession()).session, null);
  },

  async "every change is told"({ make, address }) {
    const auth = make();
    const { heard, subscription } = await listening(auth);
    const { user } = await signUp(auth, address());
    succeeded(await auth.refreshSession());
    succeeded(await auth.updateUser({ data: { colour: "green" } }));
    await auth.signOut({ scope: "local" });
    await heardOf(heard, 5);
    assert.deepEqual(heard, [
      ["INITIAL_SESSION", null],
      ["SIGNED_IN", user.id],
      ["TOKEN_REFRESHED", user.id],
      ["USER_UPDATED", user.id],
      ["SIGNED_OUT", null],
    ]);
    subscription.unsubscribe();
    await signUp(auth, address());
    assert.equal(heard.length, 5);
    const greeted = await listening(auth);
    assert.equal(greeted.heard[0][0], "INITIAL_SESSION");
    assert.notEqual(greeted.heard[0][1], null);
    greeted.subscription.unsubscribe();
  },

  async "a listener may call"({ make, address }) {
    const auth = make();
    const found = [];
    auth.onAuthStateChange((event) => {
      // Not within the callback: supabase-js would wait for itself.
      if (event === "SIGNED_IN") setTimeout(async () => found.push((await auth.getSession()).data.session), 0);
    });
    await signUp(auth, address());
    await heardOf(found, 1);
    assert.ok(found[0].access_token);
  },
};
