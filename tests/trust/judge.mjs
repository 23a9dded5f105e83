/** What a caller must be told, from what a server did: the client's contract, written without a look at its code. */
import { ANSWER, HALF } from "./table.mjs";

/** One retry is allowed in every cell. */
export const RETRIES = 1;
const AGAIN = 1 + RETRIES;

/** What callers can do about each reason, as docs/errors.md says. */
const ACTIONS = {
  sign_in: ["session_refused"],
  re_mint: ["invalid_token"],
  upgrade: ["quota_exceeded"],
  fix_config: ["invalid_bundle", "invalid_request", "not_found", "mint_refused"],
  retry_after: [
    "network", "timeout", "session_timeout", "session_failed", "disconnected", "stalled", "truncated", "rate_limited", "conflict",
    "server_error", "plan_unavailable", "mint_unavailable", "wasm_load_failed",
  ],
  give_up: ["aborted", "invalid_response", "forbidden", "content_blocked", "pii_blocked", "event_too_large"],
};
const actionOf = (reason) => Object.keys(ACTIONS).find((action) => ACTIONS[action].includes(reason));

const fails = (reason, requests = 1) => ({ reason, requests });
const ends = (outcome, reason, kept = HALF) => ({ outcome, reason, kept, requests: 1 });
const FINE = { requests: 1 };

/** By hop: what each effect means there. Where asking and streaming differ, both are named. */
const MEANING = {
  session: {
    otherwise: fails("session_failed"),
    silent: fails("session_timeout"),
    stalls: fails("session_timeout"),
    "stalls at once": fails("session_timeout"),
    mislabelled: FINE,
  },
  function: {
    otherwise: fails("invalid_bundle"),
    refused: fails("network", AGAIN),
    unanswered: fails("network", AGAIN),
    broken: fails("network", AGAIN),
    undecodable: fails("network", AGAIN),
    silent: fails("timeout"),
    stalls: fails("timeout"),
    "stalls at once": fails("timeout"),
    mislabelled: FINE,
    foreign: fails("network", AGAIN),
    "no success": fails("invalid_response"),
  },
  // The caller is told by our endpoint, which takes anything but an answer for a failure that passes: a client asks again.
  plan: {
    otherwise: fails("plan_unavailable", AGAIN),
    silent: fails("timeout"),
    stalls: fails("timeout"),
    "stalls at once": fails("timeout"),
    mislabelled: FINE,
    // A row without a plan is that of a user who has not paid.
    "no fields": FINE,
  },
  mint: {
    otherwise: fails("mint_refused"),
    refused: fails("mint_unavailable", AGAIN),
    unanswered: fails("mint_unavailable", AGAIN),
    broken: fails("mint_unavailable", AGAIN),
    undecodable: fails("mint_unavailable", AGAIN),
    silent: fails("timeout"),
    stalls: fails("timeout"),
    "stalls at once": fails("timeout"),
    mislabelled: FINE,
  },
  gateway: {
    otherwise: fails("invalid_response"),
    refused: fails("network", AGAIN),
    unanswered: fails("network"),
    silent: fails("timeout"),
    broken: { ask: fails("disconnected"), stream: ends("disconnected", "disconnected") },
    undecodable: { ask: fails("disconnected"), stream: ends("disconnected", "disconnected", "") },
    stalls: { ask: fails("timeout"), stream: ends("stalled", "stalled") },
    "stalls at once": { ask: fails("timeout"), stream: ends("stalled", "stalled", "") },
    "ends early": { ask: fails("invalid_response"), stream: ends("truncated", "truncated") },
    empty: { ask: fails("invalid_response"), stream: ends("truncated", "truncated", "") },
    mislabelled: { ask: FINE, stream: fails("invalid_response") },
    foreign: fails("network"),
    garbled: { ask: fails("invalid_response"), stream: ends("truncated", "truncated", "") },
    reported: ends("failed", "server_error"),
    "no JSON": ends("failed", "invalid_response"),
    "too large": ends("failed", "event_too_large"),
    length: ends("length", undefined, ANSWER),
    content_filter: ends("content_filter", undefined, ANSWER),
  },
};

/** A status in the client's words, and whether it passes. */
function ofStatus(status, code) {
  const named = {
    401: ["invalid_token"], 402: ["quota_exceeded"], 403: ["forbidden"], 404: ["not_found"], 408: ["timeout", true],
    409: ["conflict", true], 429: code === "quota_exceeded" ? ["quota_exceeded"] : ["rate_limited", true],
    451: [code?.includes("pii") ? "pii_blocked" : "content_blocked"],
  };
  if (named[status]) return named[status];
  if (status >= 500) return ["server_error", true];
  return [status >= 400 ? "invalid_request" : "invalid_response"];
}

function onStatus({ status, code, quick, answer }, hop) {
  if (hop === "session") return fails("session_failed");
  // Our endpoint waits for the words longer than the client waits for it.
  if (quick && (hop === "plan" || hop === "mint")) return fails("timeout");
  // One that breaks off is none to it.
  if (hop === "mint" && answer.some(([step]) => step === "reset")) return fails("mint_unavailable", AGAIN);
  if (hop === "plan") return fails("plan_unavailable", AGAIN);
  const isSuccess = status < 300;
  if (hop === "mint") {
    if (isSuccess) return fails("mint_refused");
    if (status === 402 || (status === 429 && code === "quota_exceeded")) return fails("quota_exceeded");
    if (status === 403) return fails("forbidden");
    if (status === 429) return fails("rate_limited", AGAIN);
    return status >= 500 || status === 408 || status === 409 ? fails("mint_unavailable", AGAIN) : fails("mint_refused");
  }
  if (isSuccess && hop === "function") return fails("invalid_bundle");
  if (isSuccess) return { any: true, requests: 1 };
  const [reason, passes] = ofStatus(status, code);
  // The function speaks the client's own vocabulary, and is believed whatever the status.
  const isRedirect = [301, 302, 303, 307, 308].includes(status);
  if (status === 401 && hop === "function" && code !== "quota_exceeded") return fails("session_refused");
  if (hop === "function" && !isRedirect && code === "quota_exceeded") return fails(code, passes && status !== 429 ? AGAIN : 1);
  // A new token is tried once.
  return fails(reason, passes || status === 401 ? AGAIN : 1);
}

export function expected({ fault, hop, kind }, client) {
  // What is behind our endpoint is asked by Node, whoever asks the endpoint.
  const effect = fault.but?.[hop === "plan" || hop === "mint" ? "node" : client] ?? fault.effect;
  if (effect === "any") return { any: true };
  if (effect === "any failure") return { any: true, fails: true };
  if (effect === "status") return onStatus(fault, hop);
  if (effect === "fine") return FINE;
  const meaning = MEANING[hop][effect] ?? MEANING[hop].otherwise;
  return meaning[kind] ?? meaning;
}

/** What is wrong with what a caller was told; empty if nothing is. */
export function judgeTold(want, kind, told, client) {
  if (told.hangs) return ["it hangs"];
  const wrong = [];
  const must = (what, is, should) => is !== should && wrong.push(differs(what, is, should));
  if (told.polluted) wrong.push("the prototype of objects is polluted");
  if (want.fails && !told.reason) wrong.push("it succeeds");
  if (!want.any) must("reason", told.reason, want.reason);
  if (told.reason) {
    if (client !== "native") must("name", told.name, "BehestError");
    must("action", told.action, actionOf(told.reason));
    if (!/\.$/.test(told.message)) wrong.push(`the message is no sentence: ${told.message}`);
  }
  if (kind === "ask" && want.reason === undefined && !want.any) must("text", told.text, ANSWER);
  if (kind === "stream" && told.outcome !== undefined) {
    if (!want.any) must("outcome", told.outcome, want.outcome ?? "complete");
    if (want.kept !== undefined || want.reason === undefined) if (!want.any) must("kept text", told.kept, want.kept ?? ANSWER);
    must("text handed out", told.text, told.kept);
  } else if (kind === "stream" && !want.any && want.outcome !== undefined) must("outcome", undefined, want.outcome);
  return wrong;
}

export const differs = (what, is, should) => `${what} is ${JSON.stringify(is)}, should be ${JSON.stringify(should)}`;

/** What is wrong with how a cell went; empty if nothing is. */
export function judge(cell, client, told, server, secrets) {
  const want = expected(cell, client);
  const wrong = judgeTold(want, cell.kind, told, client);
  if (told.hangs) return wrong;
  const must = (what, is, should) => is !== should && wrong.push(differs(what, is, should));
  // What the app's own request throws is the app's.
  const all = JSON.stringify(cell.hop === "session" ? { message: told.message } : told);
  for (const secret of secrets) if (all.includes(secret)) wrong.push(`it shows ${secret}`);
  const count = (hop) => server.requests[hop]?.length ?? 0;
  // What never connected is not seen by anybody.
  const counted = typeof cell.fault.answer === "string" ? 0 : want.requests;
  // Firefox repeats a GET by itself when a connection breaks; the app's own is one.
  const isOurs = cell.hop !== "session" || client !== "firefox";
  if (counted !== undefined && isOurs) must(`requests at ${cell.hop}`, count(cell.hop), counted);
  const isBefore = cell.hop !== "gateway";
  if (isBefore && !want.any) must("prompts at the gateway", count("gateway"), want.reason === undefined ? 1 : 0);
  if (count("gateway") > AGAIN) wrong.push(`the prompt was sent ${count("gateway")} times`);
  return wrong;
}
