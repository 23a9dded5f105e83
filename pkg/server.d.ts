/** What went wrong, why, and what to do about it. */
export class BehestError extends Error {
  /** Stable: match on it, never on the message. */
  readonly reason: string;
  readonly action: "retry_after" | "re_mint" | "sign_in" | "upgrade" | "fix_config" | "give_up";
  /** One sentence that says what to do. */
  readonly hint: string;
  readonly retryAfterMs?: number;
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
