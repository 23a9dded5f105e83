import { createServer } from "node:http";

import { listen } from "./loopback.mjs";

/**
 * A token function and a gateway in one server, which any page may call, and which answer as a test says.
 * `plan` maps `token` and `chat` to `(response, attempt, seen) => …`; attempts count from 1, and `seen` resolves when
 * the page asks for `/seen`. What is not planned works.
 */
export async function startBadServer() {
  let plan = {};
  let attempts = {};
  let seen = signal();
  const server = createServer((request, response) => {
    response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
    response.setHeader("access-control-allow-headers", request.headers["access-control-request-headers"] ?? "");
    response.setHeader("access-control-expose-headers", "retry-after, x-trace-id");
    // A browser quietly repeats a request whose reused connection breaks; a new one for each makes attempts countable.
    response.setHeader("connection", "close");
    if (request.method === "OPTIONS") return response.writeHead(204).end();
    request.resume();
    if (request.url === "/seen") {
      seen.resolve();
      return response.writeHead(204).end();
    }
    const part = request.url.endsWith("/v1/chat/completions") ? "chat" : "token";
    attempts[part] = (attempts[part] ?? 0) + 1;
    const answer = plan[part] ?? (part === "token" ? goodToken : goodChat);
    return answer(response, attempts[part], seen.promise);
  });
  return {
    ...(await listen(server)),
    /** From now on it behaves so. */
    use(next) {
      plan = next;
      attempts = {};
      seen = signal();
    },
    attempts: (part) => attempts[part] ?? 0,
  };
}

function signal() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

/** Answers with a status, a body and headers. */
export const reply = (status, body = "", headers = {}) => (response) => {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": typeof body === "string" ? "text/html" : "application/json", ...headers });
  response.end(text);
};

/** Answers with an event stream of exactly these bytes, one write each; `end` says how it ends. */
export const events = (pieces, end = (response) => response.end()) => async (response, _attempt, seen) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const piece of pieces) {
    response.write(piece);
    // A piece of its own on the wire, as far as the network allows.
    await new Promise((done) => setImmediate(done));
  }
  await end(response, seen);
};

export const hang = () => {};
const goodToken = (response, attempt) =>
  reply(200, { token: `token-${attempt}`, ttl: 900, sessionId: "session-1", expiresAt: 4_000_000_000 })(response);

/** One event with this text. */
export const says = (content, finish_reason = null) => `data: ${JSON.stringify(chunk(content, finish_reason))}\n\n`;
export const DONE = "data: [DONE]\n\n";

const chunk = (content, finish_reason) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: "test",
  choices: [{ index: 0, delta: { content }, finish_reason }],
});

export const goodChat = reply(200, {
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "test",
  choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
});
