import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";

import { required } from "./required.mjs";

const START_MS = 30_000;
const STOP_MS = 10_000;

export const wwwFolder = path.resolve(import.meta.dirname, "../../../www");

/**
 * Starts the whole system on free ports of this machine: Supabase, gateway and page.
 * `www` is served as the page, by default the demo, and `packageFolder` as its /pkg/; `more` are further flags.
 */
export async function startStack({ packageFolder, www = wwwFolder, more = [] }) {
  const flags = ["start", "--json", "--demo-user", "--supabase-port", "0", "--gateway-port", "0", "--page-port", "0"];
  const child = spawn(
    required("BEHEST_LOCAL", "the behest-local program"),
    [...flags, "--www", www, "--package", packageFolder, ...more],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (log = (log + text).slice(-20_000)));
  const exited = once(child, "exit").catch((error) => [error.message]);

  async function stop() {
    const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    child.kill("SIGTERM");
    await exited;
    clearTimeout(killer);
  }

  try {
    const stack = connect(await firstLine(child, exited, () => log));
    return { ...stack, stop, log: () => log };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A running stack, from the line that behest-local prints. */
export function connect(line) {
  const { supabase, gateway, page, dashboard, publishableKey, demoUser } = JSON.parse(line);
  const read = async (origin) => (await fetch(`${origin}/_local/counters`)).json();
  return {
    supabase,
    gateway,
    page,
    dashboard,
    publishableKey,
    demoUser,

    /** The demo user's access token. */
    async session() {
      const headers = { apikey: publishableKey, "content-type": "application/json" };
      const signIn = { method: "POST", headers, body: JSON.stringify(demoUser) };
      const reply = await fetch(`${supabase}/auth/v1/token?grant_type=password`, signIn);
      return (await reply.json()).access_token;
    },

    /** How many requests of each kind the servers have served. */
    async counters() {
      const [atGateway, atSupabase] = await Promise.all([read(gateway), read(supabase)]);
      const all = { ...atGateway, ...atSupabase };
      return (name) => all[name] ?? 0;
    },
  };
}

async function firstLine(child, exited, log) {
  const lines = createInterface({ input: child.stdout });
  const timer = new AbortController();
  try {
    return await Promise.race([
      once(lines, "line", { signal: timer.signal }).then(([line]) => line),
      exited.then(([code]) => Promise.reject(new Error(`behest-local ended with ${code} before it was ready.\n${log()}`))),
      once(AbortSignal.timeout(START_MS), "abort", { signal: timer.signal }).then(() => {
        throw new Error(`behest-local was not ready after ${START_MS / 1000} s.\n${log()}`);
      }),
    ]);
  } finally {
    timer.abort();
    lines.close();
    child.stdout.resume();
  }
}
