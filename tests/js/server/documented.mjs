/**
 * A token function as Behest's documentation for Supabase describes it: supabase-js verifies the session and reads the plan under
 * the caller's own token, Behest mints. The mint call stands in place of the documented client package, which no registry has.
 */
import { createClient } from "@supabase/supabase-js";

// supabase-js does not start without one, and Node 20 has none. Nothing here uses it.
globalThis.WebSocket ??= class {};

const tiers = { pro: 2, max: 3 };

export function documented(env) {
  const cors = {
    "Access-Control-Allow-Origin": env.CORS_ORIGIN,
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
  };
  return async (request) => {
    if (request.method === "OPTIONS") return new Response(null, { status: 204, headers: cors });
    const authorization = request.headers.get("Authorization") ?? "";
    const supabase = createClient(env.SUPABASE_URL, env.SUPABASE_ANON_KEY, {
      global: { headers: { Authorization: authorization } },
    });
    const { data } = await supabase.auth.getUser(authorization.replace("Bearer ", ""));
    if (!data.user) return Response.json({ error: "unauthorized" }, { status: 401, headers: cors });
    const { data: profile } = await supabase.from("profiles").select("plan").eq("id", data.user.id).single();
    const minted = await fetch(`${env.BEHEST_BASE_URL}/v1/auth/mint`, {
      method: "POST",
      headers: { authorization: `Bearer ${env.BEHEST_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({
        user_id: data.user.id,
        tier: tiers[profile?.plan] ?? 1,
        ttl: 900,
        session_id: crypto.randomUUID(),
      }),
    });
    const { jwt, ttl, session_id } = await minted.json();
    const bundle = { token: jwt, ttl, sessionId: session_id, expiresAt: Math.floor(Date.now() / 1000) + ttl };
    return Response.json(bundle, { headers: { ...cors, "Cache-Control": "no-store" } });
  };
}
