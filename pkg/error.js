const MARK = Symbol.for("behest-client.error");

/** Everything that goes wrong, with a stable `reason` and the `action` to take. */
export class BehestError extends Error {
  constructor({ reason, action, message, hint, status, retryAfterMs, code, traceId }, options) {
    const sentence = message[0].toUpperCase() + message.slice(1);
    super(`${sentence}${status === undefined ? "" : ` (status ${status})`}. ${hint}`, options);
    Object.assign(this, { reason, action, hint, status, retryAfterMs, code, traceId });
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
    const { name, reason, action, message, hint, status, retryAfterMs, code, traceId } = this;
    return { name, reason, action, message, hint, status, retryAfterMs, code, traceId };
  }
}

/** The module throws plain objects; anything else is passed on as it is. */
export const toBehestError = (thrown) =>
  thrown?.reason && !(thrown instanceof BehestError) ? new BehestError(thrown) : thrown;

export const invalidConfig = (message) =>
  local("invalid_config", "fix_config", message, "Correct the option named in the message.");

export function wasmLoadFailed(cause) {
  const csp = cause instanceof WebAssembly.CompileError && /Content Security Policy|unsafe-eval/.test(cause.message);
  return new BehestError(
    {
      reason: "wasm_load_failed",
      action: csp ? "fix_config" : "retry_after",
      message: `The WebAssembly module could not be loaded: ${cause?.message ?? cause}`,
      hint: csp
        ? "Add 'wasm-unsafe-eval' to script-src in the page's Content-Security-Policy."
        : "The next call tries again.",
    },
    { cause },
  );
}

const local = (reason, action, message, hint) => new BehestError({ reason, action, message, hint });

export const aborted = () => local("aborted", "give_up", "the signal was aborted", "The caller cancelled this call.");

export const timedOut = (ms) =>
  local("timeout", "retry_after", `the module did not load within ${ms} ms (timeoutMs)`, "Try again, or raise the limit.");

export const malformedToken = (cause) =>
  new BehestError(
    { reason: "malformed_token", action: "fix_config", message: "this is no JWT", hint: "Give the whole token, as it was issued." },
    { cause },
  );

export const invalidRequest = (message) =>
  local("invalid_request", "fix_config", message, "Correct the request as the message says.");

/** What goes into the module as a text must be one: anything else would corrupt its memory. */
export function requireText(name, value) {
  if (typeof value !== "string") throw invalidRequest(`${name} must be a string, not ${value === null ? "null" : typeof value}`);
  return value;
}

export const internal = (cause) =>
  new BehestError(
    {
      reason: "internal",
      action: "give_up",
      message: `The WebAssembly module stopped: ${cause?.message ?? cause}`,
      hint: "This is a defect of behest-client; the next call starts afresh. Please report it.",
    },
    { cause },
  );
