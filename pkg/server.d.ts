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

/**
 * The settings of the endpoint and the guards. Each is an option under this name and a variable under the same name in capitals
 * (`supabaseUrl`, `SUPABASE_URL`); lists are separated by commas there. An option wins over a variable. One that is unknown or of
 * the wrong type is an error at the start.
 */
export interface Settings {
  /** Required. The Supabase project. Sessions must be issued by `{SUPABASE_URL}/auth/v1`. */
  supabaseUrl?: string;
  /** The project's public address where `supabaseUrl` is an internal one: its issuer is accepted too. */
  supabasePublicUrl?: string;
  /** JSON object from name to publishable key. */
  supabasePublishableKeys?: string | object;
  /**
   * The publishable key, if there is no map of them; its name is `default`. Its former name is `supabaseAnonKey`. Supabase lets nobody
   * read the user's plan without it.
   */
  supabasePublishableKey?: string;
  /** As `supabasePublishableKey`, for projects with keys of the former kind. */
  supabaseAnonKey?: string;
  /** JSON object from name to secret key. */
  supabaseSecretKeys?: string | object;
  /** The secret key, if there is no map of them; its name is `default`. */
  supabaseSecretKey?: string;
  /** The project's public keys inline, `{"keys": […]}` or its array, instead of an address. */
  supabaseJwks?: string | object;
  /** Another address for them. Default `{SUPABASE_URL}/auth/v1/.well-known/jwks.json`. */
  supabaseJwksUrl?: string;
  /** Accepts HS256 sessions of projects that still sign so. At least 32 bytes. */
  supabaseJwtSecret?: string;
  /** Hosts that may be reached without TLS; loopback always may. */
  allowHttpHosts?: string | readonly string[];
  /** The pages that may call: exact origins, no `*`. Required by the endpoint. A guard without it lets no page in. */
  corsOrigin?: string | readonly string[];
  /**
   * `"disabled"` leaves CORS to the application: preflights are passed on, any page is let in, no header is added. For guards only.
   */
  cors?: string;
  /** Issuers whose sessions are accepted, exactly as in the claim `iss`. Default `{SUPABASE_URL}/auth/v1`. */
  sessionIssuers?: string | readonly string[];
  /** Audiences of which a session must name one. Default `authenticated`. */
  sessionAudiences?: string | readonly string[];
  /** Database roles that stand for a signed-in user. Default `authenticated`; never add `service_role` or `anon`. */
  sessionRoles?: string | readonly string[];
  /** How far the clocks of Supabase and this server may differ. Default 30 s. */
  sessionLeewaySecs?: number;
  /** Accepts users who signed in anonymously. Default: a guard does, the endpoint does not. */
  allowAnonymous?: boolean;
  /**
   * Asks Supabase Auth about each session: one more exchange, and a session that was ended elsewhere is refused at once
   * instead of when its access token expires. Default false.
   */
  checkSession?: boolean;
  /**
   * In a list of modes such as `secret, none`, lets a request with a wrong `apikey` in as nobody, as `@supabase/server`
   * does. Default false: a key that is sent must be right.
   */
  ignoreInvalidApiKey?: boolean;
  /** Reads `profiles.plan` with the secret key, for tables that users must not read. Default false: as the user. */
  planWithSecretKey?: boolean;
  /** Required by the endpoint. `behest_sk_…` mints over HTTP, `behest_pk_…` or an RSA private key signs here. */
  behestKey?: string;
  /** The former name of `behestKey`. */
  behestApiKey?: string;
  /** Required with `behest_sk_…`; with or without a trailing slash or `/v1`. */
  behestBaseUrl?: string;
  /** Default `/v1/auth/mint`; some projects have `/auth/v1/auth/mint`. */
  behestMintPath?: string;
  /** Required with a private key: its id. */
  behestKid?: string;
  /** Required with a private key. */
  behestTenantId?: string;
  /** Required with a private key. */
  behestProjectId?: string;
  /** Claim `iss` of tokens signed here. Default `https://api.behest.ai`. */
  behestIssuer?: string;
  /** Claim `aud` of tokens signed here. Default `behest`. */
  behestAudience?: string;
  /** Life of a gateway token in seconds, 60 to 86400. Default 900. */
  behestTtl?: number;
}

export interface TokenEndpointOptions extends Settings {
  /**
   * Decides what a user gets. Default: `profiles.plan`, read under the user's own token. To refuse, throw an object with
   * `reason` `"forbidden"` (403), `"quota_exceeded"` (402) or `"rate_limited"` (429) and a `message` for the caller; anything
   * else thrown is answered 500 and logged. After 10 s without a decision the answer is 503.
   */
  policy?: (user: UserClaims) => Grant | Promise<Grant>;
}

/**
 * Variables by name: a Worker's `env`, for one. What is no string is not looked at. `any`, since no interface, as `wrangler types`
 * writes it, is a record of `unknown`.
 */
export type Environment = Readonly<Record<string, any>>;

/**
 * The token function: `POST` with the user's Supabase session, answered with `{ token, ttl, sessionId, expiresAt }`.
 * The answer to any request is a Response; the promise never rejects.
 *
 * @param env the variables; default: those of this process (Deno, Node.js, Bun)
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

export interface AuthOptions extends Settings {
  /** Tried in order; the first that fits decides. `none` only as the last. Default `"user"`. */
  auth?: AuthMode | readonly AuthMode[];
  /** @deprecated the older name of `auth` */
  allow?: AuthMode | readonly AuthMode[];
  /** The variables; default: those of this process. On Workers, `env` of `cloudflare:workers`. */
  env?: Environment;
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
  /**
   * `fetch` for `rest/v1` as this caller: `rest("profiles?select=plan")`. Row level security decides. A path that leaves `rest/v1`
   * is refused. The deadline is 10 s unless `init` has a signal.
   */
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

/** The caller or the error, for answers of your own. What the same options say is set up once. */
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
  /** The largest body that is read. Default 1 MiB. */
  maxBytes?: number;
}

/**
 * Checks a webhook and reads its body, which must not have been read before.
 *
 * @throws {BehestError} `invalid_webhook` (answer 401); `payload_too_large` (413), `timeout` (408); `invalid_request` (400) for a
 * body that broke off; `misconfigured` if the secret is missing or malformed, or the body was read before
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
