import { createServer } from "node:http";

import { listen } from "./loopback.mjs";

/**
 * A token function (`/functions/v1/behest-token`) and a gateway (`/v1/…`) that are right in everything but what a test makes
 * wrong: `change` holds `token` and `gateway`, each `{ cors, answer }`. `cors(headers, request)` may change the CORS headers;
 * `answer(request, response, body)` gives `false` to answer as usual.
 */
export async function startWrongServer() {
  let change = {};
  const server = createServer(async (request, response) => {
    const part = request.url.startsWith("/functions/") ? "token" : "gateway";
    const { cors = () => {}, answer = () => false } = change[part] ?? {};
    const headers = {
      "access-control-allow-origin": request.headers.origin ?? "*",
      "access-control-allow-headers": "authorization, content-type, x-session-id, x-thread-id",
      "access-control-allow-methods": "GET, POST, OPTIONS",
    };
    cors(headers, request);
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
    const body = await text(request);
    if ((await answer(request, response, body)) !== false) return;
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    const usual = part === "token" ? tokenFunction : gateway;
    usual(request, response, body);
  });
  return { ...(await listen(server)), use: (next) => (change = next) };
}

async function text(request) {
  let all = "";
  for await (const piece of request) all += piece;
  return all;
}

export const json = (response, status, body, headers = {}) =>
  void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));

/** A token whose signature verifies nowhere. */
export function gatewayToken(claims = {}) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "RS256", kid: "k" })}.${part({ uid: "u", role: "user", iss: "https://issuer.example", iat: now, exp: now + 900, ...claims })}.c2ln`;
}

export const bundle = (token = gatewayToken()) => ({ token, ttl: 900, sessionId: "s", expiresAt: 4_000_000_000 });

function tokenFunction({ headers }, response) {
  if (headers.authorization === "Bearer doctor") return json(response, 401, { error: "no", code: "malformed_token" });
  json(response, 200, bundle());
}

export const event = (content, finish_reason = null) =>
  `data: ${JSON.stringify({ id: "c", choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;

export const isReal = ({ method, headers }) => method === "POST" && headers.authorization !== "Bearer doctor";

async function gateway({ headers }, response) {
  if (headers.authorization === "Bearer doctor") return json(response, 401, { error: { code: "invalid_token" } });
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const text of ["One", ", two", ", three"]) {
    response.write(event(text));
    // A piece of its own on the wire.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  response.end(`${event("", "stop")}data: [DONE]\n\n`);
}
