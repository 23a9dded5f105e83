/** What went wrong, why, and what to do about it. */
export class BehestError extends Error {
  /** Stable: match on it, never on the message. */
  readonly reason: string;
  readonly action: "retry_after" | "re_mint" | "sign_in" | "upgrade" | "fix_config" | "give_up";
  /** One sentence that says what to do. */
  readonly hint: string;
  readonly retryAfterMs?: number;
  /** The HTTP status with which it is answered. */
  readonly status?: number;
}

/** The verified claims of a Supabase session. What users can write themselves, such as `user_metadata`, must decide nothing. */
export interface UserClaims {
  readonly sub: string;
  readonly role: string;
  readonly exp: number;
  readonly iss: string;
  readonly aud: string | readonly string[];
  readonly email?: string;
  readonly is_anonymous?: boolean;
  readonly session_id?: string;
  readonly [claim: string]: unknown;
}

/** What a token is minted with. */
export interface Grant {
  /** 1 is free, 2 pro, 3 max, unless the project defines others. Left to Behest if absent. */
  tier?: number;
  /** Life of the token in seconds, 60 to 86400. Default: `BEHEST_TTL`, or 900. */
  ttlSecs?: number;
}

export interface TokenEndpointOptions {
  /**
   * Decides what a user gets. Default: `profiles.plan`, read under the user's own token. To refuse, throw an object with
   * `reason` `"forbidden"` (403) or `"quota_exceeded"` (402) and a `message` for the caller; anything else thrown is
   * answered 500 and logged.
   */
  policy?: (user: UserClaims) => Grant | Promise<Grant>;
  /** Issuers whose sessions are accepted. Default: `{SUPABASE_URL}/auth/v1`. */
  issuers?: string[];
  /** Audiences of which a session must name one. Default: `["authenticated"]`. */
  audiences?: string[];
  /** How far the clocks of Supabase and this server may differ, in seconds. Default 30. */
  leewaySecs?: number;
}

/** Variables by name: a Worker's `env`, for one. What is no string is not looked at. */
export type Environment = Readonly<Record<string, unknown>>;

/**
 * The token function: `POST` with the user's Supabase session, answered with `{ token, ttl, sessionId, expiresAt }`.
 * The answer to any request is a Response; the promise never rejects.
 *
 * @param env the settings; default: the variables of this process (Deno, Node.js, Bun)
 * @throws {BehestError} `misconfigured`; the message names every variable that is missing or malformed
 */
export function createTokenEndpoint(
  env?: Environment,
  options?: TokenEndpointOptions,
): (request: Request) => Promise<Response>;

/**
 * One way in: a signed-in user, an application or a server of yours with the key `default`, the key of a name, or any key
 * (`:*`), or anybody. The older words `public` and `always` mean `publishable` and `none`.
 */
export type AuthMode =
  | "user"
  | "none"
  | "always"
  | "publishable"
  | `publishable:${string}`
  | "public"
  | `public:${string}`
  | "secret"
  | `secret:${string}`;

export interface AuthOptions {
  /** Tried in order; the first that fits decides. `none` only as the last. Default `"user"`. */
  auth?: AuthMode | AuthMode[];
  /** @deprecated the older name of `auth` */
  allow?: AuthMode | AuthMode[];
  /** The settings; default: the variables of this process. On Workers, `env` of `cloudflare:workers`. */
  env?: Environment;
  /** Accept users who signed in anonymously. Default true. */
  allowAnonymous?: boolean;
  /** Ask Supabase Auth about each session, so that one that was ended elsewhere is refused at once. Default false. */
  checkSession?: boolean;
  /** With `none` last, let a request with a wrong `apikey` in as nobody. Default false. */
  wrongKeysAreNobody?: boolean;
  /** Issuers whose sessions are accepted. Default: `{SUPABASE_URL}/auth/v1`. */
  issuers?: string | string[];
  /** Audiences of which a session must name one. Default `"authenticated"`. */
  audiences?: string | string[];
  /** Database roles that stand for a signed-in user. Default `"authenticated"`. */
  roles?: string | string[];
  /** How far the clocks of Supabase and this server may differ, in seconds. Default 30. */
  leewaySecs?: number;
}

/** Who is calling. */
export interface SupabaseContext {
  readonly authMode: "user" | "publishable" | "secret" | "none";
  /** @deprecated the older name, with the older words */
  readonly authType: "user" | "public" | "secret" | "always";
  /** The name of the key the caller sent. */
  readonly authKeyName?: string;
  /** In mode `user`. */
  readonly userClaims: {
    readonly id: string;
    readonly role: string;
    readonly email?: string;
    readonly appMetadata?: Record<string, unknown>;
    readonly userMetadata?: Record<string, unknown>;
  } | null;
  /** The verified claims as signed, in mode `user`. */
  readonly jwtClaims: UserClaims | null;
  /** `fetch` for `rest/v1` as this caller: `rest("profiles?select=plan")`. Row level security decides. */
  rest(path: string, init?: RequestInit): Promise<Response>;
  /** The same with the secret key, past row level security: filter by the user's id yourself. Throws without such a key. */
  admin(path: string, init?: RequestInit): Promise<Response>;
}

/**
 * Lets requests through to `handler` whom `options` let in; others are answered with the reason and its status. Pages of
 * `CORS_ORIGIN` may call and read the answers. What `handler` throws is passed on.
 *
 * @throws {BehestError} `misconfigured`, at once, if a setting is missing or nobody could ever call
 */
export function withSupabase<Rest extends unknown[]>(
  options: AuthOptions,
  handler: (request: Request, context: SupabaseContext, ...rest: Rest) => Response | Promise<Response>,
): (request: Request, ...rest: Rest) => Promise<Response>;

/** The caller or the error, for answers of your own. Give it the same options object each time: it is set up once for each. */
export function createSupabaseContext(
  request: Request,
  options?: AuthOptions,
): Promise<{ data: SupabaseContext; error: null } | { data: null; error: BehestError }>;

export interface WebhookOptions {
  /** Whose signature: `Stripe-Signature`, `X-Hub-Signature-256`, or `webhook-signature` (Standard Webhooks, Supabase Auth hooks). */
  sender: "stripe" | "github" | "standard";
  /** As the sender gave it. Standard Webhooks: several joined by `|`. */
  secret: string | undefined;
  /** How far the time of signing may lie from now, in both directions, in seconds. Default 300. */
  toleranceSecs?: number;
}

/**
 * Checks a webhook and reads its body, which must not have been read before.
 *
 * @throws {BehestError} `invalid_webhook` (answer 401); `misconfigured` if the secret is missing or malformed
 */
export function verifyWebhook(
  request: Request,
  options: WebhookOptions,
): Promise<{
  /** To recognise a delivery that comes twice; Stripe's is in the body. */
  readonly id?: string;
  /** In seconds since the Unix epoch; GitHub does not say. */
  readonly signedAt?: number;
  readonly body: string;
}>;
