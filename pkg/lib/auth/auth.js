import { BehestError, invalidRequest, requireText } from "../error.js";
import { generateSessionId } from "../token.js";
import { proof } from "./proof.js";

/** What a call can be: `src/js/auth/calls.rs` has the same numbers. */
const SESSION = 0;
const INITIAL = 1;
const REFRESH = 2;
const LEAVING = 3;
const RETURNING = 4;
const RETURNED = 5;
const PASSWORD = 6;
const SIGN_UP = 7;
const ANONYMOUS = 8;
const CODE = 9;
const RECOVERY = 10;
const VERIFY = 11;
const EXCHANGE = 12;
const USER = 13;
const UPDATE = 14;
const SIGN_OUT = 15;

/** What a redirect brings back. */
const BROUGHT_BACK = ["code", "error", "error_code", "error_description", "sb"];

const NOBODY = { user: null, session: null };

/** A session, or the user of one whose address is still to be confirmed. */
const signedIn = (came) => (came?.access_token ? { user: came.user ?? null, session: came } : { user: came, session: null });

/** By what a user is known. */
const contact = ({ email, phone }) =>
  email || !phone ? { email: requireText("email", email).trim() } : { phone: requireText("phone", phone).trim() };

const captcha = (options) => ({ gotrue_meta_security: { captcha_token: options?.captchaToken } });

/** What may need a letter, whose link leads back here. Telephones get a code, and Supabase takes no proof for them. */
async function letter(body, redirectTo) {
  const { verifier, ...challenge } = body.email ? await proof() : {};
  return { verifier, redirectTo, secret: body.password, body: { ...body, ...challenge } };
}

/**
 * `auth` as supabase-js has it: the same names, arguments and answers. `open` makes the driver, which tells the function that it
 * is given of every change. `url` is the project's.
 */
export function authOver(open, url, detectsReturn) {
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
    if (!/[?#&](code|error\w*)=/.test(text)) return;
    isReturning = true;
    const page = new URL(text);
    const fragment = new URLSearchParams(page.hash.slice(1));
    const brought = Object.fromEntries([...fragment, ...page.searchParams]);
    if (!(await driver.call(RETURNING, brought))) return;
    const isInFragment = BROUGHT_BACK.some((name) => fragment.has(name));
    for (const name of BROUGHT_BACK) {
      fragment.delete(name);
      page.searchParams.delete(name);
    }
    if (isInFragment) page.hash = fragment;
    history.replaceState(history.state, "", page);
    await driver.call(RETURNED, brought);
  }

  const initialize = () =>
    (initialized ??= comeBack(address())
      .then(
        () => ({ error: null }),
        (error) => ({ error }),
      )
      .finally(() => (isReturning = false)));

  /**
   * `{ data, error }`: what goes wrong is given back, as supabase-js does; only a defect is thrown. `prepare` makes of what was
   * given what is said.
   */
  async function answer(empty, shape, kind, given, prepare, then) {
    await initialize();
    try {
      return { data: shape(await driver.call(kind, await prepare?.(given ?? {}), then)), error: null };
    } catch (error) {
      if (error instanceof BehestError) return { data: empty, error };
      throw error;
    }
  }

  const signIn = (...call) => answer(NOBODY, signedIn, ...call);
  const user = (...call) => answer({ user: null }, (user) => ({ user }), ...call);

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
    if (!isQuiet) void answer(null, (session) => session, INITIAL, null, null, begin).then(({ error }) => error && begin(null));
    const unsubscribe = () => void listeners.delete(listener);
    return { data: { subscription: { id: generateSessionId(), callback, unsubscribe } } };
  }

  const auth = {
    initialize,
    signInWithPassword: (given) =>
      signIn(PASSWORD, given, ({ options, password, ...whose }) => ({
        secret: requireText("password", password),
        body: { ...contact(whose), password, ...captcha(options) },
      })),
    signUp: (given) =>
      signIn(SIGN_UP, given, ({ options, password, ...whose }) =>
        letter(
          { ...contact(whose), password: requireText("password", password), data: options?.data ?? {}, ...captcha(options) },
          options?.emailRedirectTo,
        ),
      ),
    signInAnonymously: (given) =>
      signIn(ANONYMOUS, given, ({ options }) => ({ body: { data: options?.data ?? {}, ...captcha(options) } })),
    signInWithOtp: (given) =>
      answer(NOBODY, () => NOBODY, CODE, given, ({ options, ...whose }) =>
        letter(
          { ...contact(whose), create_user: options?.shouldCreateUser ?? true, data: options?.data ?? {}, ...captcha(options) },
          options?.emailRedirectTo,
        ),
      ),
    verifyOtp: (given) =>
      signIn(VERIFY, given, ({ type, ...said }) => {
        const name = said.token_hash ? "token_hash" : "token";
        const secret = requireText(name, said[name]).trim();
        const whose = said.token_hash ? {} : contact(said);
        return { secret, recovers: type === "recovery", body: { ...whose, [name]: secret, type: requireText("type", type) } };
      }),
    async signInWithOAuth(given) {
      const { provider, options } = given ?? {};
      let address;
      const prepare = async () => {
        const { verifier, ...challenge } = await proof();
        const { redirectTo: redirect_to, scopes, queryParams } = options ?? {};
        const asked = { provider: requireText("provider", provider), redirect_to, scopes, ...challenge, ...queryParams };
        const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== undefined));
        address = `${url}/auth/v1/authorize?${query}`;
        return { verifier };
      };
      const found = await answer({ provider, url: null }, () => ({ provider, url: address }), LEAVING, given, prepare);
      if (found.data.url && !options?.skipBrowserRedirect) globalThis.location?.assign?.(address);
      return found;
    },
    exchangeCodeForSession: (code) => signIn(EXCHANGE, code, () => ({ secret: requireText("code", code) })),
    resetPasswordForEmail: (email, options) =>
      answer(null, () => ({}), RECOVERY, options, () => letter({ ...contact({ email }), ...captcha(options) }, options?.redirectTo)),
    getSession: () => answer({ session: null }, (session) => ({ session }), SESSION),
    refreshSession: (given) => signIn(REFRESH, given, onlyOwn),
    getUser: (given) => user(USER, given, onlyOwn),
    updateUser: (changes, options) => user(UPDATE, changes, (body) => letter(body, options?.emailRedirectTo)),
    signOut: async (options) => ({ error: (await user(SIGN_OUT, options, (given) => given)).error }),
    onAuthStateChange: (callback) => listen(callback, false),
  };
  // Not later than the page's own script: a router may change the address.
  if (detectsReturn && address()) void initialize();
  return { auth, driver, listen };
}

/** Whose token is given may be somebody else, and is not to be taken for who is signed in. */
function onlyOwn(given) {
  if (given.length ?? given.refresh_token) throw invalidRequest("only the session that is kept here can be asked about");
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
