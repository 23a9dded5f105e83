// Supabase and Behest as the endpoints see them. What they answer depends on the user's id alone.
import { createServer } from "node:http";

import { listen } from "../support/loopback.mjs";
import { published } from "./tokens.mjs";

const plans = {
  "plan-pro": [200, { plan: "pro" }],
  "plan-max": [200, { plan: " MAX " }],
  "plan-unknown": [200, { plan: "gold" }],
  "plan-null": [200, { plan: null }],
  "plan-no-table": [404, { code: "PGRST205", message: "no such table" }],
  "plan-no-grant": [403, { code: "42501", message: "permission denied" }],
  "plan-down": [500, { message: "boom" }],
  "plan-html": [200, "<html>"],
};
const noRow = [406, { code: "PGRST116", message: "Cannot coerce the result to a single JSON object" }];

const mints = {
  "mint-400": [400, { error: { code: "validation_error", message: "behest says: bad user" } }],
  "mint-401": [401, { error: "behest says: key revoked", code: "invalid_key" }],
  "mint-402": [402, { error: { code: "quota_exceeded", message: "behest says: spent" } }],
  "mint-403": [403, { message: "behest says: killed" }],
  "mint-429": [429, { error: { code: "rate_limited", message: "behest says: slow" } }, { "retry-after": "7" }],
  "mint-500": [500, "behest says: stack trace at line 1"],
  "mint-302": [302, "", { location: "/v1/auth/elsewhere" }],
  "mint-empty": [200, {}],
  "mint-for-ever": [200, '{"jwt":"tok-mint-for-ever","ttl":1.8e19}'],
};

function answer(response, status, body, headers = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
}

function mint(order) {
  if (mints[order.user_id]) return mints[order.user_id];
  const token = `tok-${order.user_id}-tier-${order.tier}`;
  return order.user_id === "mint-family-2"
    ? [200, { access_token: token, token_type: "Bearer", project_id: "p", expires_in: order.ttl }]
    : [200, { jwt: token, project_id: "p", ttl: order.ttl, session_id: order.session_id }];
}

/** Starts it. `calls` counts requests by path; `holdNext()` resolves once a request for `/jwks-held` came and was left unanswered. */
export async function startUpstream() {
  const calls = {};
  let hold;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://upstream");
    calls[url.pathname] = (calls[url.pathname] ?? 0) + 1;
    let body = "";
    for await (const chunk of request) body += chunk;
    if (url.pathname.endsWith("/jwks.json")) return answer(response, 200, published);
    if (url.pathname === "/jwks-held" && hold) {
      hold();
      hold = undefined;
      return;
    }
    if (url.pathname === "/jwks-held" || url.pathname === "/jwks-burst") return answer(response, 200, published);
    if (url.pathname === "/jwks-broken") return answer(response, 500, {});
    if (url.pathname === "/auth/v1/user") {
      if (request.headers.apikey !== "sb_publishable_default") return answer(response, 401, {});
      const { sub } = JSON.parse(Buffer.from(request.headers.authorization.split(".")[1], "base64url"));
      const [status, id] = { ended: [403], "auth-down": [500], mistaken: [200, "somebody-else"] }[sub] ?? [200, sub];
      return answer(response, status, { id });
    }
    if (url.pathname === "/rest/v1/profiles") {
      const known = /^Bearer ey/.test(request.headers.authorization ?? "") && request.headers.apikey === "sb_publishable_default";
      if (!known) return answer(response, 401, { code: "PGRST301" });
      return answer(response, ...(plans[url.searchParams.get("id").slice(3)] ?? noRow));
    }
    if (url.pathname === "/rest/v1/notes") {
      const { apikey, authorization } = request.headers;
      if (apikey === "sb_secret_jobs" && !authorization) return answer(response, 200, "", { "content-range": "0-41/42" });
      const asUser = apikey === "sb_publishable_default" && /^Bearer ey/.test(authorization ?? "");
      return answer(response, asUser ? 200 : 401, asUser ? [{ id: 1, of: "user" }] : { code: "PGRST301" });
    }
    if (url.pathname === "/v1/auth/mint") {
      if (request.headers.authorization !== "Bearer behest_sk_live_0123456789abcdef") return answer(response, 401, {});
      return answer(response, ...mint(JSON.parse(body)));
    }
    answer(response, 404, {});
  });
  return {
    ...(await listen(server)),
    calls,
    holdNext: () => new Promise((resolve) => (hold = resolve)),
  };
}
