const NAMES = ["supabaseUrl", "behestUrl", "publishableKey", "functionName"];

/** Where the servers are. Nothing here is secret: a publishable key is made for browsers. */
export async function loadSettings() {
  const reply = await fetch("/config.json", { signal: AbortSignal.timeout(10_000) });
  if (!reply.ok) throw new Error(`The settings could not be read: /config.json answered ${reply.status}. Serve it beside this page.`);
  const settings = await reply.json();
  const missing = NAMES.filter((name) => typeof settings[name] !== "string" || settings[name] === "");
  if (missing.length > 0) throw new Error(`The settings are incomplete: /config.json lacks ${missing.join(", ")}.`);
  return settings;
}
