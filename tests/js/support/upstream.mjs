import { once } from "node:events";
import { createServer } from "node:http";

import { listen } from "./loopback.mjs";

/**
 * An OpenAI-compatible server that says exactly what a test tells it to, when it tells it to.
 * `next()` gives the next chat that arrives.
 */
export async function startUpstream() {
  const waiting = [];
  const arrived = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const chat = exchange(request, response, JSON.parse(Buffer.concat(parts)));
    const taker = waiting.shift();
    if (taker) taker(chat);
    else arrived.push(chat);
  });
  const { url, stop } = await listen(server);
  return {
    url: `${url}/v1`,
    stop,
    next: () => (arrived.length > 0 ? Promise.resolve(arrived.shift()) : new Promise((take) => waiting.push(take))),
  };
}

function exchange(request, response, body) {
  const write = (data) => response.write(`data: ${data}\n\n`);
  const chunk = (delta, finish_reason = null) => ({
    id: "chatcmpl-test",
    object: "chat.completion.chunk",
    created: 1_700_000_000,
    model: "test",
    choices: [{ index: 0, delta, finish_reason }],
  });
  return {
    path: request.url,
    body,

    /** Resolves when the other side has gone away before the end. */
    abandoned: once(response, "close").then(() => !response.writableFinished),

    begin() {
      response.writeHead(200, { "content-type": "text/event-stream" });
      write(JSON.stringify(chunk({ role: "assistant", content: "" })));
    },
    say: (content) => write(JSON.stringify(chunk({ content }))),
    finish(reason = "stop") {
      write(JSON.stringify(chunk({}, reason)));
      write(JSON.stringify({ ...chunk({}), choices: [], usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 } }));
      response.end("data: [DONE]\n\n");
    },

    /** Ends cleanly, but without any of the end markers. */
    closeEarly: () => response.end(),

    /** Breaks the connection. */
    cut: () => response.destroy(),

    refuse(status, error) {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ error }));
    },
  };
}
