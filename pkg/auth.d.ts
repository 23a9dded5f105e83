/**
 * The client with sign-in of its own, for pages without supabase-js: `auth` has supabase-js's names, arguments and answers. The
 * session lies where supabase-js keeps it, in its format, so that both libraries can share a page, and any number of tabs.
 *
 * ```js
 * const behest = createClient({ url, publishableKey, behestUrl });
 *
 * const { error } = await behest.auth.signInWithPassword({ email, password });
 * if (error) say(error.message);
 * else console.log(await behest.ask("Hi!"));
 * ```
 */
import type { BehestError, Client, ClientOptions } from "./index.js";

export * from "./index.js";

/** The client, and who is signed in. `close` also ends what is heard of other tabs. */
export interface AuthClient extends Client {
  readonly auth: Auth;
}

/** Where the session is kept. All of it at once: a storage that answers later is none. */
export interface AuthStorage {
  getItem(name: string): string | null | undefined;
  setItem(name: string, text: string): void;
  removeItem(name: string): void;
}

/** The cookies of one request, or of one browser, as `@supabase/ssr` is given them. */
export interface AuthCookies {
  getAll(): { name: string; value: string }[];
  /** A cookie with `maxAge: 0` goes. */
  setAll(cookies: { name: string; value: string; options: { path: string; sameSite: "lax"; maxAge: number } }[]): void;
}

/**
 * For the option `storage`: the session in `@supabase/ssr`'s cookies. Those of the page, or, on a server, of one request. They are
 * read at every call.
 */
export function cookieStorage(cookies?: AuthCookies): AuthStorage;

type Shared = Omit<Extract<ClientOptions, { supabase: unknown }>, "supabase" | "supabaseUrl" | "getAccessToken">;

export interface AuthClientOptions extends Shared {
  /** The Supabase project, `https://<ref>.supabase.co`. Its Edge Function mints the tokens, unless `tokenUrl` is another one. */
  url: string;
  /** The project's publishable (or older `anon`) key. */
  publishableKey: string;
  /**
   * A place of your own. By default it is `localStorage` in pages, and in memory where that is forbidden and everywhere else: on
   * a server nobody is signed in. One of your own is asked at every call, since nobody tells of its changes.
   */
  storage?: AuthStorage;
  /** The session's name there, as supabase-js has it. Default `sb-<ref>-auth-token`. */
  storageKey?: string;
  /**
   * Whether a page that a provider or a letter's link leads back to signs in by itself. Default true. Of two libraries in one
   * page only one should.
   */
  detectSessionInUrl?: boolean;
}

/** Synchronous: nothing is loaded and nobody is asked before the first call, or the first listener. */
export function createClient(options: AuthClientOptions): AuthClient;

/** A user of the project, as Supabase Auth sends it. */
export interface AuthUser {
  id: string;
  aud: string;
  email?: string;
  phone?: string;
  is_anonymous?: boolean;
  created_at: string;
  app_metadata: { provider?: string; [name: string]: any };
  user_metadata: { [name: string]: any };
  [name: string]: any;
}

/** A session, as Supabase Auth sends it. */
export interface AuthSession {
  access_token: string;
  refresh_token: string;
  token_type: "bearer";
  expires_in: number;
  /** In seconds since the Unix epoch. */
  expires_at?: number;
  user: AuthUser;
  provider_token?: string | null;
  provider_refresh_token?: string | null;
}

/** `INITIAL_SESSION` comes first, to each listener, with whoever is signed in already. */
export type AuthEvent =
  | "INITIAL_SESSION"
  | "SIGNED_IN"
  | "SIGNED_OUT"
  | "TOKEN_REFRESHED"
  | "USER_UPDATED"
  | "PASSWORD_RECOVERY";

/** Of `error` and `data` one is there: what goes wrong is given back and not thrown, as in supabase-js. */
export type AuthAnswer<Data, Empty> = { data: Data; error: null } | { data: Empty; error: BehestError };

export type SessionAnswer = AuthAnswer<{ user: AuthUser; session: AuthSession }, { user: null; session: null }>;
export type UserAnswer = AuthAnswer<{ user: AuthUser }, { user: null }>;

/** An address, or a telephone number. */
export type Contact = { email: string; phone?: undefined } | { phone: string; email?: undefined };

interface LetterOptions {
  /** Where the letter's link leads to. It must be on the project's list of redirect URLs. */
  emailRedirectTo?: string;
  captchaToken?: string;
  /** The `user_metadata` of a new user. */
  data?: object;
}

/** What a code or the hash of a link is good for. */
export type VerifyType = "email" | "signup" | "magiclink" | "recovery" | "invite" | "email_change" | "sms" | "phone_change";

/**
 * supabase-js's `auth`, as far as it signs in and out. `error.reason`, `error.action` and `error.hint` say what to do, `error.code`
 * is Supabase's own word. The session is renewed when it is asked for and has 90 seconds left; rate limits, failing servers and dead
 * networks leave it as it is.
 */
export interface Auth {
  /** Ends a sign-in that came back with the page's address; every other call waits for it. */
  initialize(): Promise<{ error: BehestError | null }>;
  signInWithPassword(given: Contact & { password: string; options?: { captchaToken?: string } }): Promise<SessionAnswer>;
  /** `session` is null where the address has to be confirmed first. */
  signUp(
    given: Contact & { password: string; options?: LetterOptions },
  ): Promise<AuthAnswer<{ user: AuthUser; session: AuthSession | null }, { user: null; session: null }>>;
  signInAnonymously(given?: { options?: { data?: object; captchaToken?: string } }): Promise<SessionAnswer>;
  /** Sends a code and a link. The code goes to `verifyOtp`; the link leads back to the page. */
  signInWithOtp(
    given: Contact & { options?: LetterOptions & { shouldCreateUser?: boolean } },
  ): Promise<AuthAnswer<{ user: null; session: null }, { user: null; session: null }>>;
  /** `session` and `user` are null after the first of two codes that change an address. */
  verifyOtp(
    given: (Contact & { token: string; type: VerifyType }) | { token_hash: string; type: VerifyType },
  ): Promise<AuthAnswer<{ user: AuthUser | null; session: AuthSession | null }, { user: null; session: null }>>;
  /** Leaves the page for the provider's, unless `skipBrowserRedirect`. It comes back with a code (PKCE). */
  signInWithOAuth(given: {
    provider: string;
    options?: {
      redirectTo?: string;
      scopes?: string;
      queryParams?: { [name: string]: string };
      skipBrowserRedirect?: boolean;
    };
  }): Promise<AuthAnswer<{ provider: string; url: string }, { provider: string; url: null }>>;
  /** Ends a sign-in with the code that came back, in the browser where it was begun. */
  exchangeCodeForSession(code: string): Promise<SessionAnswer>;
  /** Sends a link for a forgotten password: `PASSWORD_RECOVERY` is told when it leads back. */
  resetPasswordForEmail(
    email: string,
    options?: { redirectTo?: string; captchaToken?: string },
  ): Promise<AuthAnswer<{}, null>>;
  /** Who is signed in, with an access token that is good for a while yet. */
  getSession(): Promise<AuthAnswer<{ session: AuthSession | null }, { session: null }>>;
  /** The user as Supabase Auth knows it now. */
  getUser(): Promise<UserAnswer>;
  updateUser(
    changes: { email?: string; phone?: string; password?: string; nonce?: string; data?: object },
    options?: { emailRedirectTo?: string },
  ): Promise<UserAnswer>;
  /** New tokens now, for instance because the user's claims have changed. */
  refreshSession(): Promise<SessionAnswer>;
  /** Of every device by default (`global`). Nobody is signed in here afterwards, whatever the server says, unless `others`. */
  signOut(options?: { scope?: "global" | "local" | "others" }): Promise<{ error: BehestError | null }>;
  /** Calls `callback` with who is signed in and at every change, of other tabs, too. It may call and await whatever it likes. */
  onAuthStateChange(callback: (event: AuthEvent, session: AuthSession | null) => void | Promise<void>): {
    data: { subscription: { id: string; callback: typeof callback; unsubscribe(): void } };
  };
}
