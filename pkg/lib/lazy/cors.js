import { BehestError } from "../error.js";

/** The two servers whose CORS rules a page meets, and where each is told of the page's origin. */
export const allowAtGateway = (origin) =>
  `Add exactly ${origin} to Allowed Origins in the Behest dashboard (Project, Settings), without a slash at its end.`;
export const allowAtFunction = (origin) =>
  `Set CORS_ORIGIN of the token function to exactly ${origin} (several are separated by commas), without a slash at its end.`;

/** A server that is asked whether it is there has so long. */
const LIMIT_MS = 5_000;

/** The origin that servers see of this page; none outside of browsers, or where nothing is cross-origin. */
export function pageOrigin() {
  const { origin } = globalThis.location ?? {};
  return globalThis.window === undefined && globalThis.WorkerGlobalScope === undefined ? undefined : origin;
}

/**
 * Is there a server at all? A browser does not say why it withholds an answer. One that comes although nobody may read it
 * ("no-cors") means that the server is there and its CORS rules refuse the page.
 */
export async function isReachable(url, fetch = globalThis.fetch) {
  try {
    const signal = AbortSignal.timeout(LIMIT_MS);
    await fetch(url, { mode: "no-cors", cache: "no-store", credentials: "omit", redirect: "follow", signal });
    return true;
  } catch {
    return false;
  }
}

/** An error of reason `network`, and if CORS is what it comes from, with the setting to change. */
export async function explained(error) {
  const origin = pageOrigin();
  const [, url] = / at (https?:\S+) /.exec(error.message) ?? [];
  if (!origin || !url || new URL(url).origin === origin || !(await isReachable(url))) return error;
  const isGateway = /^the gateway/i.test(error.message);
  const server = isGateway ? "the gateway" : "the token function";
  const message = `the CORS rules of ${server} at ${url} refuse this page`;
  const hint = (isGateway ? allowAtGateway : allowAtFunction)(origin);
  return new BehestError({ reason: "network", action: "fix_config", message, hint }, { cause: error });
}
