/** What the caller can do about an error. */
export type Action = "retry_after" | "re_mint" | "sign_in" | "upgrade" | "fix_config" | "give_up";

/**
 * Why something failed, each with its usual action and what to do. Stable: match on these, never on message text. First
 * what the client finds out itself, then what gateway and token function say, last the token endpoint's own words.
 */
export type Reason =
  /** `sign_in`: Nobody is signed in. Sign in and call again. */
  | "signed_out"
  /** `retry_after`: The session source did not answer in time. Check that getAccessToken always settles. */
  | "session_timeout"
  /** `retry_after`: The session could not be read. See the cause given by the session source. */
  | "session_failed"
  /** `give_up`: The user who began this is no longer signed in. Begin anew as the one who is. */
  | "user_changed"
  /** `fix_config`: Correct the option named in the message. */
  | "invalid_config"
  /** `retry_after`: No answer came. Check the connection, the URL, and that the server allows this page's origin (CORS). */
  | "network"
  /** `give_up`: The caller cancelled this call. */
  | "aborted"
  /** `fix_config`: The token function must answer with JSON {token, ttl, sessionId, expiresAt}. */
  | "invalid_bundle"
  /** `give_up`: The server's reply is not what its API documents. Check that the URL is the right one. */
  | "invalid_response"
  /** `upgrade`: The budget set for this conversation is spent. Raise it or begin a new conversation. */
  | "budget_exhausted"
  /** `retry_after`: The answer stopped without its end marker, so it may be incomplete. Ask again or continue from the text so far. */
  | "truncated"
  /** `retry_after`: The connection broke during the answer. The text so far is kept; ask again to go on. */
  | "disconnected"
  /** `retry_after`: The answer went silent. The text so far is kept; ask again to go on. */
  | "stalled"
  /** `give_up`: One event of the stream is larger than the limit. Check what the URL serves. */
  | "event_too_large"
  /** `give_up`: This is a defect of behest-client. Please report it with the message. */
  | "internal"
  /** `retry_after`: The .wasm file could not be loaded. The message says what came instead. */
  | "wasm_load_failed"
  /** `retry_after`: No answer came in time. Try again, or raise the limit named in the message. */
  | "timeout"
  /** `sign_in`: The token function does not accept this session. Sign in again. */
  | "session_refused"
  /** `re_mint`: The gateway does not accept the token. Check that function and gateway belong to the same project. */
  | "invalid_token"
  /** `upgrade`: The allowance of this plan is spent. Offer an upgrade, or wait for the next period. */
  | "quota_exceeded"
  /** `give_up`: This caller may not do this. Check the project's settings. */
  | "forbidden"
  /** `fix_config`: Nothing is there. Check the URL, the function's name, and the id. */
  | "not_found"
  /** `retry_after`: The request conflicts with another one. Try again. */
  | "conflict"
  /** `retry_after`: Too many requests. Wait as long as the server says, then try again. */
  | "rate_limited"
  /** `fix_config`: Correct the request as the message says. */
  | "invalid_request"
  /** `give_up`: The gateway found personal data in the text. Remove it and ask again. */
  | "pii_blocked"
  /** `give_up`: The gateway's guardrail refused this content. */
  | "content_blocked"
  /** `retry_after`: The server failed. Try again in a moment. */
  | "server_error"
  /** `sign_in`: Send the user's Supabase access token as `Authorization: Bearer <token>`. */
  | "missing_token"
  /** `fix_config`: The authorization header must be `Bearer`, one space, and one access token. */
  | "invalid_authorization"
  /** `fix_config`: That is an API key, not a user's access token. Keys go into the `apikey` header. */
  | "api_key_as_bearer"
  /** `sign_in`: The access token is not a JWT. Send session.access_token as it is. */
  | "malformed_token"
  /** `sign_in`: The token's algorithm does not fit the key it names. */
  | "unsupported_algorithm"
  /** `sign_in`: No key of this project signed the token. Check that page and function use the same Supabase project. */
  | "unknown_key"
  /** `sign_in`: The token names no key (`kid`), and not exactly one key of this project fits. Send session.access_token as it is. */
  | "missing_kid"
  /** `sign_in`: The token's signature is not valid. Sign in again. */
  | "invalid_signature"
  /** `sign_in`: The access token has expired. Refresh the session and try again. */
  | "token_expired"
  /** `retry_after`: The token is not valid yet. Check the clocks of the servers. */
  | "token_not_yet_valid"
  /** `fix_config`: The token was issued by another project. Check SUPABASE_URL. */
  | "wrong_issuer"
  /** `fix_config`: The token is meant for another audience. */
  | "wrong_audience"
  /** `sign_in`: A claim of the token is missing or of the wrong type. */
  | "invalid_claims"
  /** `sign_in`: The session has ended. Sign in again. */
  | "session_revoked"
  /** `give_up`: Only a signed-in user may get a gateway token, not this role. */
  | "role_refused"
  /** `sign_in`: Anonymous users may not get a token here. Sign in with an account. */
  | "anonymous_refused"
  /** `fix_config`: Send one of this endpoint's keys in the `apikey` header. */
  | "missing_api_key"
  /** `fix_config`: The API key is not one of this endpoint's. */
  | "invalid_api_key"
  /** `fix_config`: Check that the endpoint has the signing secret of this sender, and its clock. */
  | "invalid_webhook"
  /** `fix_config`: This origin is not allowed. Add it, exactly as the browser sends it, to CORS_ORIGIN. */
  | "origin_refused"
  /** `fix_config`: Use POST. */
  | "method_not_allowed"
  /** `fix_config`: The request body is too large. */
  | "payload_too_large"
  /** `fix_config`: The server is set up wrongly. Its log names the setting. */
  | "misconfigured"
  /** `retry_after`: The project's signing keys could not be fetched. Try again in a moment. */
  | "jwks_unavailable"
  /** `retry_after`: Supabase Auth could not be reached. Try again in a moment. */
  | "auth_unavailable"
  /** `retry_after`: The user's plan could not be read. Try again in a moment. */
  | "plan_unavailable"
  /** `retry_after`: Behest could not mint a token just now. Try again in a moment. */
  | "mint_unavailable"
  /** `fix_config`: Behest refused to mint. Check BEHEST_KEY and BEHEST_BASE_URL. */
  | "mint_refused";

/**
 * How a stream ended. `complete`, `length`, `content_filter` and `tool_calls` are the gateway's own word; `truncated`
 * is a clean close without one.
 */
export type Outcome =
  | "complete"
  | "length"
  | "content_filter"
  | "tool_calls"
  | "aborted"
  | "disconnected"
  | "stalled"
  | "truncated"
  | "failed";

/** Everything that goes wrong. `message` is made of full sentences and says what to do; it never holds a token. */
export class BehestError extends Error {
  /** For the package itself, and for tests of applications. */
  constructor(fields: { reason: Reason; action: Action; message: string; hint: string; status?: number; retryAfterMs?: number; code?: string; traceId?: string }, options?: { cause?: unknown });
  readonly name: "BehestError";
  readonly reason: Reason;
  readonly action: Action;
  /** One sentence that says what to do. */
  readonly hint: string;
  /** HTTP status, if an answer came at all. */
  readonly status?: number;
  /** How long the server asks to wait. */
  readonly retryAfterMs?: number;
  /** The server's own error code. */
  readonly code?: string;
  /** Quote it when asking for support. */
  readonly traceId?: string;
  toJSON(): Record<string, unknown>;
}

/** The part of a supabase-js client that is used. */
export interface SupabaseLike {
  auth: {
    getSession(): Promise<{ data: { session: { access_token: string } | null }; error: unknown }>;
    onAuthStateChange(callback: (event: any, session: { access_token: string } | null) => void): {
      data: { subscription: { unsubscribe(): void } };
    };
  };
}

/** Limits in milliseconds, one for each kind of wait. */
export interface Timeouts {
  /** For the session source. Default 10 000. */
  sessionMs?: number;
  /** For each attempt at the token function, from the request to the last byte. Default 15 000. */
  tokenMs?: number;
  /** From the request to the head of the gateway's answer. Default 120 000. */
  firstByteMs?: number;
  /** Between two pieces of an answer. Default 60 000. */
  idleMs?: number;
  /**
   * Between two events of a stream that are no keep-alives: slow models send comments while they think. Default 600 000.
   */
  contentMs?: number;
  /** For the whole call, the loading of the module included. Default none. `Infinity` is no limit, here and above. */
  totalMs?: number;
}

interface CommonOptions {
  /** The gateway's base URL, with or without a trailing slash or `/v1`. */
  behestUrl: string;
  /** The Edge Function that mints tokens. Default `behest-token`. */
  functionName?: string;
  /** A token endpoint that is no Supabase Edge Function: its whole URL. */
  tokenUrl?: string;
  /** Supabase's publishable key, sent to the token function as `apikey`. Not sent by default. */
  apiKey?: string;
  /**
   * A token is used until no more than this is left of its life, and renewed in the background before. Default 60 000; of a token
   * that lives no longer than twice the margin, half its life.
   */
  marginMs?: number;
  /** How often a call is repeated after a passing failure, always before its first byte. Default 2. */
  maxRetries?: number;
  timeouts?: Timeouts;
  /** The largest event of a stream. Default 1 048 576. */
  largestEventBytes?: number;
  /** Called instead of the global `fetch`, always with one `Request`. */
  fetch?: (request: Request) => Promise<Response>;
  /**
   * Where `behest.wasm` lies, if not where a bundler puts it: your CDN, or a folder you copied it to. Relative to the page.
   * Default: beside the script. Not with `wasmModule`.
   */
  wasmUrl?: string | URL;
  /**
   * The module itself, compiled or as its bytes, or a promise of either. For hosts that compile nothing at run time, and for
   * files that cannot be fetched. Clients that are given the same one share it. Not with `wasmUrl`.
   */
  wasmModule?: WasmModule | Promise<WasmModule>;
}

export type WasmModule = WebAssembly.Module | ArrayBuffer | ArrayBufferView;

/** Exactly one source of the session: your supabase-js client, or a callback. */
export type ClientOptions = CommonOptions &
  (
    | { supabase: SupabaseLike; supabaseUrl?: string; getAccessToken?: undefined }
    | {
        /**
         * The signed-in user's access token, or null. Asked at every call, since only so can the client know whose call it
         * is; calls of one turn share the answer. (A supabase-js client tells of changes by itself.)
         */
        getAccessToken: () => string | null | undefined | Promise<string | null | undefined>;
        supabaseUrl?: string;
        supabase?: undefined;
      }
  );

export interface CallOptions {
  /** Cancels the call, on the wire too. */
  signal?: AbortSignal | null;
  /** For the whole call, from the session to the last byte, in place of `timeouts.totalMs`. */
  timeoutMs?: number;
  /** In place of the client's `maxRetries`, for the call to the gateway. A mint is shared by calls and keeps the client's. */
  maxRetries?: number;
}

/** What one call did and how long it took: times, reasons and ids only, safe to paste into an issue. */
export interface Trace {
  /** The token was in memory already. */
  readonly cached: boolean;
  /** How long the session source took, if this call waited for a mint. */
  readonly sessionMs?: number;
  /** How long the token function took, if this call waited for a mint. */
  readonly mintMs?: number;
  /** From sending the request to the head of the answer. */
  readonly headersMs?: number;
  /** From sending the request to the first text of a streamed answer. */
  readonly firstContentMs?: number;
  /** Why the call was repeated, in order. */
  readonly retries: { readonly reason: Reason; readonly status?: number; readonly waitedMs: number }[];
  readonly sessionId: string;
  readonly traceId?: string;
}

/** Not enumerable, so the object stays what the gateway sent. */
export interface CallInfo {
  /** The session the call is attributed to. */
  readonly sessionId: string;
  /** The gateway's id of the call, where CORS exposes it. */
  readonly traceId?: string;
  readonly trace: Trace;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

/** A message in OpenAI's shape; unknown fields are passed on. */
export interface Message {
  role: string;
  content?: unknown;
}

/** OpenAI's request. The model defaults to `default`: the one the gateway's project is set to. */
export interface ChatRequest {
  messages: readonly Message[];
  model?: string;
  stream?: boolean | null;
}

export interface ToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call";

export interface ChatCompletion {
  id: string;
  object: "chat.completion";
  created: number;
  model: string;
  choices: {
    index: number;
    message: { role: "assistant"; content: string | null; refusal: string | null; tool_calls?: ToolCall[] };
    finish_reason: FinishReason;
    logprobs: any;
  }[];
  usage?: Usage;
}

export interface ChatCompletionChunk {
  id: string;
  object: "chat.completion.chunk";
  created: number;
  model: string;
  choices: {
    index: number;
    delta: {
      role?: "system" | "developer" | "user" | "assistant" | "tool";
      content?: string | null;
      refusal?: string | null;
      tool_calls?: {
        index: number;
        id?: string;
        type?: "function";
        function?: { name?: string; arguments?: string };
      }[];
    };
    finish_reason: FinishReason | null;
    logprobs?: any;
  }[];
  usage?: Usage | null;
}

/**
 * An async iterable of chunks. Iteration throws for `disconnected`, `stalled`, `truncated` and `failed`, and just ends
 * for every other outcome, `aborted` among them. Leaving the loop early cancels the request.
 */
export interface ChatStream extends AsyncIterableIterator<ChatCompletionChunk>, CallInfo {
  /** How it ended; null while it goes on. */
  readonly outcome: Outcome | null;
  /** The first answer's text so far. Kept whatever happens. */
  readonly content: string;
  /** What it cost in tokens, once the gateway has said so (`stream_options: { include_usage: true }`). */
  readonly usage: Usage | null;
  /** The tool calls of the first answer so far, put together from their pieces. */
  readonly toolCalls: readonly ToolCall[];
  /** The gateway's word for why the answer ended. */
  readonly finishReason: string | null;
  /** What iteration threw, if it did. */
  readonly error: BehestError | null;
  /** Only the text, piece by piece. */
  text(): AsyncGenerator<string, void, void>;
  /** Cancels the request. */
  abort(): void;
}

/** `T` with whatever else OpenAI's API knows. */
type Open<T> = T & { [field: string]: any };

export interface UsageQuery {
  from?: Date | string;
  to?: Date | string;
  granularity?: "minute" | "hour" | "day";
}

/**
 * What a conversation may spend. A guard of this client alone, no limit of the gateway's: it begins anew with the page,
 * and should the module ever have to be restarted. Calls that are under way together may pass it together.
 */
export interface Budget {
  /** Prompt and completion tokens together. */
  tokens?: number;
  /** A cost, in the currency of the prices. */
  cost?: number;
  /** Per million prompt tokens. Needed with `cost`. */
  promptPrice?: number;
  /** Per million completion tokens. Needed with `cost`. */
  completionPrice?: number;
}

export interface Calls {
  /**
   * Asks one question and gives the answer's text. One that a token limit has cut is given as it is: `chat.completions` tells its
   * `finish_reason`. One that has no text rejects.
   */
  ask(text: string, options?: CallOptions): Promise<string>;
  chat: {
    completions: {
      create(body: Open<ChatRequest> & { stream: true }, options?: CallOptions): Promise<ChatStream>;
      create(body: Open<ChatRequest> & { stream?: false | null }, options?: CallOptions): Promise<ChatCompletion & CallInfo>;
      create(body: Open<ChatRequest>, options?: CallOptions): Promise<ChatStream | (ChatCompletion & CallInfo)>;
    };
  };
  /** Conversations that the gateway stores. A thread begins with the first call that names it (see `conversation`). */
  threads: {
    list(options?: CallOptions): Promise<any>;
    get(id: string, options?: CallOptions): Promise<any>;
    messages(id: string, options?: CallOptions): Promise<any>;
    delete(id: string, options?: CallOptions): Promise<void>;
  };
  /** What the user has spent, as the gateway reports it. */
  usage: { get(query?: UsageQuery, options?: CallOptions): Promise<Record<string, any> & CallInfo> };
  /**
   * For any library that speaks OpenAI's API:
   * `new OpenAI({ apiKey: "unused", baseURL: behest.openaiBaseUrl, fetch: behest.fetch, dangerouslyAllowBrowser: true })`.
   */
  readonly openaiBaseUrl: string;
  /**
   * `fetch` under this client's rules: the token and the session id, a new token after a 401, retries before the first byte,
   * and an error that names the CORS setting to change. Only requests below `behestUrl` get the token; all others go out as
   * they are. Answers come as they are, and what the library's own retries would repeat is marked `x-should-retry: false`.
   * Without an answer it rejects with a `BehestError` (an abort: with the signal's reason).
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** The models the gateway offers. */
  models: { list(options?: CallOptions): Promise<Record<string, any> & CallInfo> };
  /** Loads the module and gets a token now, so that the first question need not wait for either. */
  warm(): Promise<void>;
  token: {
    /** What is known of the current gateway token. The token itself is never shown. */
    peek(): { sessionId: string; remainingMs: number; ttlMs: number } | null;
    /** Forgets it; the next call mints a new one. */
    invalidate(): void;
  };
}

export interface Client extends Calls {
  /**
   * Says who is signed in now: the new access token, or null after a sign-out. With `supabase` this happens by itself.
   * Another user's token is dropped, and that user's calls and streams end with `user_changed`.
   */
  sessionChanged(accessToken: string | null): void;
  /**
   * A client with a session of its own, and optionally a thread that the gateway stores and a budget. Once the budget is
   * spent, calls are refused with `budget_exhausted` before they are sent. It belongs to whoever is signed in now (or at its
   * first call); once that user has left, its calls are refused with `user_changed`.
   */
  conversation(options?: { sessionId?: string; threadId?: string; budget?: Budget }): Conversation;
  /**
   * Looks at the whole way from the session to a streamed answer: URLs, CORS of both servers, session, token, streaming. Each
   * line says what to change; `String(report)` is all of them as text. Rejects only if its own script does not load. It asks the
   * gateway one short question.
   */
  doctor(options?: {
    /** Whose CORS rules are asked for where there is no page, in Node.js say. Default: the page's origin. */
    origin?: string;
    /** Whether to ask for an answer. Default true. */
    stream?: boolean;
    /** `false`: nobody is expected to be signed in, and what needs a session is skipped. Default true. */
    session?: boolean;
  }): Promise<DoctorReport>;
  /** Stops listening to supabase-js. */
  close(): void;
}

export interface DoctorReport {
  /** Nothing is wrong. */
  readonly ok: boolean;
  readonly lines: readonly {
    check: string;
    /** null where nothing can be said. */
    ok: boolean | null;
    detail?: string;
    /** What to change. */
    fix?: string;
  }[];
  toString(): string;
}

export interface Conversation extends Calls {
  /** Known after the first call, unless it was given. */
  readonly sessionId: string | undefined;
  readonly threadId: string | undefined;
}

/** The claims of a token, unverified: for display and debugging, never for a decision. Throws `malformed_token`. */
export function decodeToken(token: string): Record<string, any>;

/** A new session id: a random UUID. */
export function generateSessionId(): string;

/** Synchronous: the WebAssembly module loads with the first call, or with `warm()`. */
export function createClient(options: ClientOptions): Client;
