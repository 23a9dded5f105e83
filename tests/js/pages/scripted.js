import { createClient } from "behest-client";
import { World } from "behest-client/testing";

/** A client in a world of its own. */
export function setting(options = {}) {
  const world = new World();
  const { fetch, getAccessToken } = world;
  const urls = { supabaseUrl: "https://project.example", behestUrl: "https://gateway.example" };
  return { world, behest: createClient({ ...urls, fetch, getAccessToken, maxRetries: 0, ...options }) };
}

/** Waits for a condition, which React brings about in its own time. */
export async function until(condition, what = "") {
  const end = Date.now() + 20_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`it did not come about: ${what || condition}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

export const chats = (world) => world.requests.filter(({ url }) => url.endsWith("/chat/completions"));
