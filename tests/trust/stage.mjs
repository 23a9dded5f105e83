/**
 * The gateway and the token function of `events.mjs`. A scene is what one call meets: each step of its answer waits until the
 * test lets it go, so that events strike at a known moment, and everything is counted.
 */
import { createServer } from "node:http";

import { listen } from "../js/support/loopback.mjs";
import { ANSWER, HALF } from "./table.mjs";

const OPEN = { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization, content-type, x-session-id", "access-control-max-age": "0" };

/** A door: `opened` is a promise until it is. */
function door() {
  const made = {
    shut() {
      made.opened = new Promise((resolve) => (made.open = resolve));
    },
  };
  made.shut();
  return made;
}

const event = (content, finish_reason = null) =>
  `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;

export async function startStage() {
  const scenes = new Map();
  const host = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const [, id, path] = /^\/c\/([^/]+)\/(.+)$/.exec(request.url) ?? [];
    const scene = scenes.get(id);
    // On a connection that was used before, Chromium sends a prompt again by itself when it breaks.
    response.setHeader("connection", "close");
    for (const [name, value] of Object.entries(OPEN)) response.setHeader(name, value);
    if (request.method === "OPTIONS" || !scene) return response.writeHead(scene ? 204 : 404).end();
    scene.closed.shut();
    response.on("close", () => scene.closed.open());
    scene.cut = () => response.destroy();
    const isKnown = request.headers.authorization?.startsWith("Bearer ");
    if (path === "function") {
      scene.mints += 1;
      scene.asked.open();
      if (!isKnown) return response.writeHead(401).end();
      await scene.mint.opened;
      return response.setHeader("content-type", "application/json").end(JSON.stringify({ token: `token-${scene.mints}`, ttl: 900, sessionId: "s" }));
    }
    scene.prompts += 1;
    scene.arrived.open();
    if (!isKnown) return response.writeHead(401).end();
    await chat(scene, body.includes('"stream":true'), response);
  });

  async function chat(scene, isStream, response) {
    if (!isStream) {
      await scene.go.opened;
      const message = { role: "assistant", content: ANSWER };
      return response.setHeader("content-type", "application/json").end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }));
    }
    response.setHeader("content-type", "text/event-stream").write(event(HALF));
    await scene.go.opened;
    response.end(`${event(ANSWER.slice(HALF.length))}${event("", "stop")}data: [DONE]\n\n`);
  }

  return {
    ...(await listen(host)),
    /** `mint` and `go` let the answers go; `asked`, `arrived` and `closed` say what has happened; `cut` resets the connection. */
    scene(id, prepare = () => {}) {
      const scene = { mints: 0, prompts: 0, asked: door(), arrived: door(), closed: door(), mint: door(), go: door() };
      scene.mint.open();
      prepare(scene);
      scenes.set(id, scene);
      return scene;
    },
  };
}
