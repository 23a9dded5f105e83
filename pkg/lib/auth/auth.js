import { BehestError } from "../error.js";

const NOBODY = { user: null, session: null };

/** A session, or the user of one whose address is still to be confirmed. */
const signedIn = (came) => (came?.access_token ? { user: came.user ?? null, session: came } : { user: came, session: null });

/**
 * `auth` as supabase-js has it: the same names, arguments and answers. `open` makes the driver, which tells the function that it
 * is given of every change.
 */
export function authOver(open, detectsReturn) {
  const listeners = new Set();
  let initialized;
  let isReturning = false;

  const driver = open((event, session = null) => {
    for (const listener of [...listeners]) {
      if (listener.isReady) hear(listener, event, session);
      // Whoever forgot the password has to hear of it, also while the page is still being built.
      else if (isReturning) listener.missed = event;
    }
  });

  const address = () => (detectsReturn && globalThis.location?.href) || "";

  /** Who comes back from a provider or by a letter's link is signed in, if it was here that the sign-in was begun. */
  async function comeBack(text) {
    if (!/[?#&](code|error)=/.test(text)) return;
    isReturning = true;
    const url = new URL(text);
    const fragment = new URLSearchParams(url.hash.slice(1));
    const brought = Object.fromEntries([...fragment, ...url.searchParams]);
    const names = await driver.call("returning", brought);
    if (!names) return;
    if (names.some((name) => fragment.has(name))) {
      for (const name of names) fragment.delete(name);
      url.hash = fragment;
    }
    for (const name of names) url.searchParams.delete(name);
    history.replaceState(history.state, "", url);
    await driver.call("returned", brought);
  }

  const initialize = () =>
    (initialized ??= comeBack(address())
      .then(
        () => ({ error: null }),
        (error) => ({ error }),
      )
      .finally(() => (isReturning = false)));

  /** `{ data, error }`: what goes wrong is given back, as supabase-js does; only a defect is thrown. */
  async function answer(empty, shape, name, given, then) {
    await initialize();
    try {
      return { data: shape(await driver.call(name, given, then)), error: null };
    } catch (error) {
      if (error instanceof BehestError) return { data: empty, error };
      throw error;
    }
  }

  const signIn = (name, given) => answer(NOBODY, signedIn, name, given);
  const user = (name, given) => answer({ user: null }, (user) => ({ user }), name, given);
  const nothing = (data, name, given) => answer(data, () => data, name, given);
  const letter = ({ options, ...rest }) => ({ ...rest, ...options, redirectTo: options?.emailRedirectTo });

  /** `isQuiet`: it is not told who is signed in already, and so needs no module. */
  function listen(callback, isQuiet) {
    const listener = { callback, isReady: isQuiet };
    listeners.add(listener);
    const isThere = () => listeners.has(listener);
    const begin = (session) => {
      listener.isReady = true;
      if (isThere()) hear(listener, "INITIAL_SESSION", session);
      if (isThere() && session && listener.missed) hear(listener, listener.missed, session);
      return session;
    };
    // Before whatever is told next. Without a module, nobody is known.
    if (!isQuiet) void answer(null, (session) => session, "initial", {}, begin).then(({ error }) => error && begin(null));
    const unsubscribe = () => void listeners.delete(listener);
    return { data: { subscription: { id: crypto.randomUUID?.() ?? String(Math.random()), callback, unsubscribe } } };
  }

  const auth = {
    initialize,
    signInWithPassword: ({ options, ...given }) => signIn("password", { ...given, ...options }),
    signUp: (given) => signIn("signUp", letter(given)),
    signInAnonymously: (given) => signIn("anonymous", given?.options),
    signInWithOtp: (given) => nothing(NOBODY, "code", letter(given)),
    verifyOtp: (given) => signIn("verify", given),
    async signInWithOAuth({ provider, options }) {
      const found = await answer({ provider, url: null }, (url) => ({ provider, url }), "provider", { provider, ...options });
      const { url } = found.data;
      if (url && !options?.skipBrowserRedirect) globalThis.location?.assign(url);
      return found;
    },
    exchangeCodeForSession: (code) => signIn("exchange", { code }),
    resetPasswordForEmail: (email, options) => nothing({}, "recovery", { email, ...options }),
    getSession: () => answer({ session: null }, (session) => ({ session }), "session"),
    refreshSession: () => signIn("refresh"),
    getUser: () => user("user"),
    updateUser: (changes, options) => user("update", { ...changes, redirectTo: options?.emailRedirectTo }),
    signOut: async (options) => ({ error: (await nothing(null, "signOut", options)).error }),
    onAuthStateChange: (callback) => listen(callback, false),
  };
  // Not later than the page's own script: a router may change the address.
  if (detectsReturn && address()) void initialize();
  return { auth, driver, listen };
}

function hear({ callback }, event, session) {
  try {
    callback(event, session)?.catch?.(complain);
  } catch (thrown) {
    complain(thrown);
  }
}

/** A listener that fails is its own affair, and nobody else's. */
const complain = (thrown) => console.error("behest-client: a listener of onAuthStateChange failed", thrown);
