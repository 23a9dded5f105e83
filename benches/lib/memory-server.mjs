/** Supabase and gateway as an in-memory `fetch`, so that only the clients' own work is measured. */
import { completion } from "./chat.mjs";

export const SUPABASE_URL = "https://abc.supabase.co";
export const BEHEST_URL = "https://gateway.example";
export const CHAT_URL = `${BEHEST_URL}/v1/chat/completions`;

const HOUR = 3600;
const part = (value) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const inAnHour = () => Math.floor(Date.now() / 1000) + HOUR;

/** A Supabase access token whose signature verifies nowhere. */
export const accessToken = () =>
  `${part({ alg: "ES256" })}.${part({ sub: "user-1", session_id: "login-1", role: "authenticated", exp: inAnHour() })}.c2ln`;

/** What Supabase Auth answers to a sign-in, and what supabase-js keeps in storage. */
export const supabaseSession = () => ({
  access_token: accessToken(),
  token_type: "bearer",
  expires_in: HOUR,
  expires_at: inAnHour(),
  refresh_token: "refresh-1",
  user: { id: "user-1", aud: "authenticated", role: "authenticated", email: "ada@example.com" },
});

export const tokenBundle = () => ({ token: "token-1", ttl: HOUR, sessionId: "session-1", expiresAt: inAnHour() });

const json = (text) => new Response(text, { headers: { "content-type": "application/json" } });

/** Makes a response with the whole answer at each call. */
export function jsonAnswer(content) {
  const text = JSON.stringify(completion(content));
  return () => json(text);
}

/** A stream of exactly these chunks, each given out when it is asked for. */
export function streamedAnswer(chunks) {
  let next = 0;
  const body = new ReadableStream(
    {
      pull(controller) {
        if (next < chunks.length) controller.enqueue(chunks[next++]);
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const realFetch = globalThis.fetch;

/** `answer()` makes the gateway's response; it may be exchanged. What is asked of other hosts, such as the module, is fetched as ever. */
export function memoryServer(answer) {
  const server = {
    answer,
    mints: 0,
    async fetch(input, init) {
      // As any `fetch` begins: what a caller asks for (a signal, headers, a Request in place of a URL) has its price here.
      const { url } = new Request(input, init);
      if (url === CHAT_URL) return server.answer();
      if (url.includes("/functions/v1/")) {
        server.mints += 1;
        return json(JSON.stringify(tokenBundle()));
      }
      if (url.includes("/auth/v1/token")) return json(JSON.stringify(supabaseSession()));
      return realFetch(input, init);
    },
  };
  return server;
}
