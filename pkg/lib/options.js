import { SECRET_PREFIXES } from "../dist/reasons.js";
import { invalidConfig, invalidRequest } from "./error.js";
import { decodeToken } from "./token.js";

/** What `createClient` was given, checked: what the engine is told. Every problem is named at once. */
export function engineConfig(options) {
  if (typeof options !== "object" || !options) bad("`createClient` needs an object of options");
  const problems = [];
  const { supabase, getAccessToken, timeouts = {}, wasmUrl, wasmModule } = options;
  const say = (problem) => void problems.push(problem);
  const text = (name, value = options[name]) => {
    if (value === undefined || value === null || typeof value === "string") return value ?? undefined;
    say(`the option ${name} must be a string`);
  };
  const number = (name, given, otherwise, most = 2 ** 53) => numberOf(say, name, given?.[name], otherwise, most);
  const url = (name, value) => {
    if (value !== undefined) return baseUrl(value) ?? say(`the option ${name} must be an absolute http(s) URL without user, query and fragment`);
  };

  if (getAccessToken !== undefined && typeof getAccessToken !== "function") say("the option getAccessToken must be a function");
  else if (getAccessToken && supabase) say("give `supabase` or `getAccessToken`, not both");
  else if (!getAccessToken && !supabase?.auth) say("`createClient` needs `supabase`, a supabase-js client, or `getAccessToken`");
  if (options.fetch !== undefined && typeof options.fetch !== "function") say("the option fetch must be a function");
  if (wasmUrl !== undefined && typeof wasmUrl !== "string" && !wasmUrl?.href) say("the option wasmUrl must be a URL");
  if (wasmModule !== undefined && (typeof wasmModule !== "object" || !wasmModule)) {
    say("the option wasmModule must be a module or its bytes, or a promise");
  }
  if (wasmUrl && wasmModule) say("give `wasmUrl` or `wasmModule`, not both");

  const behestUrl = text("behestUrl");
  if (!behestUrl) say(`the option behestUrl is missing`);
  const tokenUrl = url("tokenUrl", text("tokenUrl"));
  const supabaseUrl = url("supabaseUrl", text("supabaseUrl", options.supabaseUrl ?? supabase?.supabaseUrl));
  const functionName = text("functionName") ?? "behest-token";
  if (!/^[\w-]+$/.test(functionName)) say("the option functionName may hold only letters, digits, - and _");
  if (options.tokenUrl === undefined && options.supabaseUrl === undefined && !supabase?.supabaseUrl) {
    say("the option supabaseUrl is missing (or give tokenUrl)");
  }
  const apiKey = text("apiKey");
  if (apiKey !== undefined && !isPublishable(apiKey)) {
    say("the option apiKey is no publishable key: a secret one may not be in a client");
  }
  if (typeof timeouts !== "object" || !timeouts) say("the option timeouts must be an object");
  const limit = (name, otherwise) => number(name, timeouts, otherwise, Infinity);

  const config = {
    gatewayUrl: behestUrl && url("behestUrl", behestUrl)?.replace(/\/v1$/, "").replace(/\/+$/, ""),
    functionUrl: tokenUrl ?? `${supabaseUrl}/functions/v1/${functionName}`,
    apiKey,
    marginMs: number("marginMs", options, 60_000),
    sessionMs: limit("sessionMs", 10_000),
    tokenMs: limit("tokenMs", 15_000),
    firstByteMs: limit("firstByteMs", 120_000),
    idleMs: limit("idleMs", 60_000),
    contentMs: limit("contentMs", 600_000),
    totalMs: limit("totalMs", Infinity),
    maxRetries: number("maxRetries", options, 2),
    largestEventBytes: number("largestEventBytes", options, 1 << 20),
  };
  if (problems.length > 0) bad(problems.join("; "));
  return config;
}

const bad = (what) => {
  throw invalidConfig(what);
};

/** A number of zero or more, or what stands for none. `say` is told of anything else. */
function numberOf(say, name, value, otherwise, most = Infinity) {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "number" && value >= 0 && value <= most) return value;
  say(`the option ${name} must be a number from 0 to ${most}`);
}

/** The options of one call, checked, over those of the client. */
export function callOptions(options, { totalMs, maxRetries }) {
  if (options === undefined || options === null) return { timeoutMs: totalMs, maxRetries };
  const number = (name, otherwise) => numberOf(bad, name, options[name], otherwise);
  if (typeof options !== "object") bad("the options of a call must be an object");
  const signal = options.signal ?? undefined;
  if (signal !== undefined && (typeof signal !== "object" || typeof signal.addEventListener !== "function")) {
    throw invalidRequest("the option signal must be an AbortSignal");
  }
  return { signal, timeoutMs: number("timeoutMs", totalMs), maxRetries: number("maxRetries", maxRetries) };
}

/** The options of a conversation as the engine is told them. */
export function conversationOptions({ sessionId, threadId, budget }) {
  for (const id of [sessionId, threadId]) {
    if (id !== undefined && typeof id !== "string") bad("session and thread ids must be strings");
  }
  if (budget !== undefined && (typeof budget !== "object" || !budget)) bad("the option budget must be an object");
  const { tokens, cost, promptPrice, completionPrice } = budget ?? {};
  for (const [name, value] of Object.entries({ tokens, cost, promptPrice, completionPrice })) {
    if (cost !== undefined && (value ?? undefined) === undefined && name.endsWith("Price")) bad(`the option ${name} is missing`);
    numberOf(bad, name, value);
  }
  return { sessionId, threadId, tokens, cost, promptPrice, completionPrice };
}

/** The URL without slashes at its end, or nothing if it is none to call below. */
export function baseUrl(text) {
  // What the parser would repair was not meant: three slashes, backslashes, white space, half an escape.
  if (!/^https?:\/\/[^/]/i.test(text) || /[\s\\?#]|%(?![0-9a-f]{2})/i.test(text)) return;
  try {
    const { origin, pathname, username, password } = new URL(text);
    if (!username && !password) return (origin + pathname).replace(/\/+$/, "");
  } catch {
    // No URL at all.
  }
}

export function isPublishable(key) {
  if (!/^[\x21-\x7e]+$/.test(key)) return false;
  if (key.startsWith("sb_publishable_")) return true;
  if (SECRET_PREFIXES.some((prefix) => key.startsWith(prefix))) return false;
  try {
    return decodeToken(key).role !== "service_role";
  } catch {
    return true;
  }
}
