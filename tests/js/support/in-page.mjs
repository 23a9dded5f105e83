/** What tests need inside the page. Set up before the page's own scripts run; its policy forbids `eval` later. */
export const addHelpers = (context) => context.addInitScript(helpers);

function helpers() {
  /**
   * A client with a cold cache, whose session is the one of the page. `options` replace what /config.json says.
   * `seen.sessionReads` counts how often it read the session.
   */
  globalThis.freshClient = async (options = {}) => {
    const { createClient } = await import("behest-client");
    const { supabaseUrl, behestUrl, functionName } = await (await fetch("/config.json")).json();
    const seen = { sessionReads: 0 };
    const getAccessToken = async () => {
      seen.sessionReads += 1;
      return JSON.parse(sessionStorage.getItem("supabase-session"))?.accessToken ?? null;
    };
    return { behest: createClient({ supabaseUrl, behestUrl, functionName, getAccessToken, ...options }), seen };
  };

  /** A client of a bad server. */
  globalThis.clientOf = async (url, options = {}) => {
    const getAccessToken = () => "a.user.session";
    return (await freshClient({ tokenUrl: `${url}/token`, behestUrl: url, getAccessToken, ...options })).behest;
  };

  /** What a call that has to fail fails with, in a form that leaves the page. */
  globalThis.failureOf = async (promise) => {
    // Before anything else is awaited, or the browser reports the rejection as one that nobody handles.
    const [{ status: settled, value, reason: error }] = await Promise.allSettled([promise]);
    if (settled === "fulfilled") return { succeededWith: value };
    const { BehestError } = await import("behest-client");
    const { name, message, reason, action, status, hint } = error;
    return { typed: error instanceof BehestError && error instanceof Error, name, message, reason, action, status, hint };
  };
}
