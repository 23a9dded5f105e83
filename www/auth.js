const STORED_AS = "supabase-session";
const RENEW_BEFORE_MS = 60_000;
const DEADLINE_MS = 10_000;

/** What Supabase Auth refused, in its own words. */
class AuthError extends Error {
  name = "AuthError";

  constructor(message, { status, code, cause } = {}) {
    super(message, { cause });
    this.status = status;
    this.code = code;
  }
}

/**
 * The few calls of Supabase Auth that this page needs. An app that has supabase-js uses that instead.
 * `onChange(session, expired)` hears of every new access token, and of `null` when the session is over:
 * `expired` is then true if Supabase ended it, not the user.
 */
export function createAuth({ supabaseUrl, publishableKey }, onChange) {
  let session = restore();
  let renewal = null;

  function restore() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(STORED_AS));
      return kept?.user?.id && kept.refreshToken ? kept : null;
    } catch {
      return null;
    }
  }

  function keep(reply, expired = false) {
    session = reply && {
      accessToken: reply.access_token,
      refreshToken: reply.refresh_token,
      // By this machine's own clock, so that a wrong clock does no harm.
      endsAt: Date.now() + reply.expires_in * 1000,
      user: { id: reply.user.id, email: reply.user.email },
    };
    try {
      if (session) sessionStorage.setItem(STORED_AS, JSON.stringify(session));
      else sessionStorage.removeItem(STORED_AS);
    } catch {
      // The storage is full or forbidden: the session lives as long as the page.
    }
    onChange(session, expired);
    return session;
  }

  async function ask(url, request) {
    return fetch(url, { method: "POST", signal: AbortSignal.timeout(DEADLINE_MS), ...request }).catch((cause) => {
      throw new AuthError(`No answer from ${new URL(url, location.href).origin}. Is it running, and does it allow this page?`, { cause });
    });
  }

  async function post(path, body, accessToken) {
    const headers = { apikey: publishableKey, "content-type": "application/json", "x-supabase-api-version": "2024-01-01" };
    if (accessToken) headers.authorization = `Bearer ${accessToken}`;
    const answer = await ask(`${supabaseUrl}/auth/v1/${path}`, { headers, body: JSON.stringify(body) });
    const reply = await answer.json().catch(() => ({}));
    if (answer.ok) return reply;
    const message = reply.message ?? reply.msg ?? reply.error_description ?? `Supabase answered ${answer.status}.`;
    throw new AuthError(message, { status: answer.status, code: reply.code ?? reply.error_code });
  }

  /** One renewal at a time: a refresh token must not be spent twice. */
  function renew() {
    const old = session;
    renewal ??= post("token?grant_type=refresh_token", { refresh_token: old.refreshToken })
      // Whoever signed out or in meanwhile stays so.
      .then((reply) => (session === old ? keep(reply) : session), (error) => {
        if (session !== old) return session;
        if (error.status >= 400 && error.status < 500 && error.status !== 429) return keep(null, true);
        if (session && session.endsAt > Date.now()) return session;
        throw error;
      })
      .finally(() => (renewal = null));
    return renewal;
  }

  return {
    current: () => session,

    /** The access token, renewed if it is about to end; `null` when nobody is signed in. */
    async accessToken() {
      const due = session && session.endsAt - RENEW_BEFORE_MS < Date.now();
      return (due ? await renew() : session)?.accessToken ?? null;
    },

    /** A session of the demo user, which behest-local gives to pages of this machine. */
    async signInAsDemo() {
      const answer = await ask("/demo-session");
      if (!answer.ok) throw new AuthError(`The demo user cannot be signed in: the server answered ${answer.status}.`);
      return keep(await answer.json());
    },

    signIn: async (email, password) => keep(await post("token?grant_type=password", { email, password })),

    async signUp(email, password) {
      const reply = await post("signup", { email, password });
      if (!reply.access_token) throw new AuthError("Your account is waiting: follow the link in the e-mail, then sign in.");
      return keep(reply);
    },

    async signOut() {
      const { accessToken } = session ?? {};
      keep(null);
      // Signed out here already; telling the server is a courtesy that may fail.
      if (accessToken) await post("logout?scope=local", {}, accessToken).catch(() => {});
    },
  };
}
