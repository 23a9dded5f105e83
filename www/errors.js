import { button, element } from "./dom.js";

/** What each reason means to whoever asked. The error's own message says what to do about it. */
export const TITLES = {
  signed_out: "Nobody is signed in",
  session_timeout: "The sign-in did not answer in time",
  session_failed: "The sign-in could not be read",
  user_changed: "Somebody else is signed in now",
  invalid_config: "This page is set up wrongly",
  network: "No connection",
  aborted: "Stopped",
  invalid_bundle: "The token function answered something else",
  invalid_response: "The gateway answered something else",
  budget_exhausted: "The conversation's budget is spent",
  truncated: "The end of the answer is missing",
  disconnected: "The connection broke",
  stalled: "The answer went silent",
  event_too_large: "A piece of the answer was too large",
  internal: "Something broke in this page",
  wasm_load_failed: "A part of this page could not be loaded",
  timeout: "That took too long",
  session_refused: "Your sign-in was not accepted",
  invalid_token: "The gateway did not accept the token",
  quota_exceeded: "The allowance is spent",
  forbidden: "That is not allowed",
  not_found: "Nothing is there",
  conflict: "Two requests got in each other's way",
  rate_limited: "Too many questions at once",
  invalid_request: "The gateway did not understand the question",
  pii_blocked: "The question holds personal data",
  content_blocked: "The guardrail refused this",
  server_error: "The server failed",
  missing_token: "The token function saw no sign-in",
  invalid_authorization: "The sign-in was sent in the wrong form",
  api_key_as_bearer: "A key was sent in place of a sign-in",
  malformed_token: "The sign-in is damaged",
  unsupported_algorithm: "The sign-in is signed in another way",
  unknown_key: "The sign-in is from another project",
  missing_kid: "The sign-in names no key",
  invalid_signature: "The sign-in's signature is wrong",
  token_expired: "Your sign-in has expired",
  token_not_yet_valid: "Your sign-in is not valid yet",
  wrong_issuer: "The sign-in was issued by another project",
  wrong_audience: "The sign-in is meant for somebody else",
  invalid_claims: "The sign-in lacks something",
  session_revoked: "You were signed out elsewhere",
  role_refused: "Only people may ask here",
  anonymous_refused: "Guests may not ask here",
  missing_api_key: "The token function wants a key",
  invalid_api_key: "The token function does not know the key",
  invalid_webhook: "The webhook could not be verified",
  origin_refused: "This page may not call the token function",
  method_not_allowed: "The token function was called in the wrong way",
  payload_too_large: "That is too long",
  misconfigured: "The token function is set up wrongly",
  jwks_unavailable: "Supabase's keys could not be fetched",
  auth_unavailable: "Supabase did not answer",
  plan_unavailable: "Your plan could not be read",
  mint_unavailable: "Behest could not make a token",
  mint_refused: "Behest refused to make a token",
};

/**
 * An error as a person can read it: what happened, what to do, and what to quote when asking for help.
 * `remedies` maps an action of the error to `{ label, run }`, offered as a button.
 */
export function errorCard(error, remedies = {}) {
  const { reason, action, message, hint } = error;
  const card = element("div", { className: "error-card", role: "alert", dataset: { action: action ?? "give_up" } });
  card.append(element("p", { className: "error-title" }, TITLES[reason] ?? "Something went wrong"));
  card.append(element("p", { className: "error-message" }, message));
  if (hint && !message.includes(hint)) card.append(element("p", { className: "error-hint" }, hint));

  const facts = element("p", { className: "error-facts" });
  const fact = (label, value) => value != null && facts.append(element("span", {}, `${label} `, element("code", {}, `${value}`)));
  fact("reason", reason ?? error.code);
  fact("status", error.status);
  fact("trace", error.traceId);
  if (error.retryAfterMs > 0) fact("try again in", `${Math.ceil(error.retryAfterMs / 1000)} s`);
  if (facts.hasChildNodes()) card.append(facts);

  const remedy = remedies[action];
  if (remedy) card.append(button(remedy.label, remedy.run));
  return card;
}
