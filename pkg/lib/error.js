import { REASONS } from "../dist/reasons.js";

const MARK = Symbol.for("behest-client.error");

/** Everything that goes wrong, with a stable `reason` and the `action` to take. */
export class BehestError extends Error {
  constructor({ reason, action, message, hint, status, retryAfterMs, code, traceId }, options) {
    const [usualAction = "give_up", usualHint = "See what the token endpoint says."] = REASONS[reason] ?? [];
    hint ??= usualHint;
    const sentence = message[0].toUpperCase() + message.slice(1);
    super(`${sentence}${status === undefined ? "" : ` (status ${status})`}. ${hint}`, options);
    Object.assign(this, { reason, action: action ?? usualAction, hint, status, retryAfterMs, code, traceId });
  }

  get name() {
    return "BehestError";
  }

  get [MARK]() {
    return true;
  }

  // Two copies of the package in one page recognise each other's errors.
  static [Symbol.hasInstance](value) {
    return value?.[MARK] === true;
  }

  /** Without the cause, which may hold anything. */
  toJSON() {
    const { name, message } = this;
    return { name, message, ...this };
  }
}

/** The server module throws plain objects; anything else is passed on as it is. */
export const toBehestError = (thrown) =>
  thrown?.reason && !(thrown instanceof BehestError) ? new BehestError(thrown) : thrown;

/** An error that is found out on this side of the module. */
export const failure = (reason, message, cause) => new BehestError({ reason, message }, cause === undefined ? {} : { cause });

export const invalidConfig = (message) => failure("invalid_config", message);

export const invalidRequest = (message, cause) => failure("invalid_request", message, cause);

export const aborted = (signal) => failure("aborted", "the signal was aborted", signal?.reason);

export const internal = (cause) => failure("internal", `the WebAssembly module stopped: ${words(cause)}`, cause);

export function wasmLoadFailed(cause) {
  const said = words(cause);
  const fields = { reason: "wasm_load_failed", message: `the WebAssembly module could not be loaded: ${said}` };
  if (/Content Security Policy|unsafe-eval/.test(said)) {
    fields.action = "fix_config";
    fields.hint = "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy.";
  }
  return new BehestError(fields, { cause });
}

/** Whatever was thrown, in words. Anything can be thrown, and anything may happen when it is looked at. */
export function words(thrown) {
  try {
    const said = typeof thrown?.message === "string" ? thrown.message : thrown;
    return typeof said === "string" ? said : "something that is no Error";
  } catch {
    return "something that cannot be looked at";
  }
}

/** `value`, if it is a string. */
export function requireText(name, value) {
  if (typeof value !== "string") throw invalidRequest(`${name} must be a string, not ${value === null ? "null" : typeof value}`);
  return value;
}
