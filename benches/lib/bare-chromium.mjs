/**
 * Headless Chromium without what a test driver switches on in it: with the debugger's Network domain, each request of a page
 * costs what its call stack costs, and no user has that.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { ARGS } from "../../tests/js/support/browser.mjs";
import { required } from "../../tests/js/support/required.mjs";

/** A browser; `send(method, params, sessionId)` speaks the DevTools protocol with it, and resolves to the result. */
export async function launchBare() {
  const profile = await mkdtemp(path.join(tmpdir(), "behest-client-chromium-"));
  const flags = ["--headless=new", "--remote-debugging-pipe", `--user-data-dir=${profile}`, ...ARGS];
  // The protocol's pipe: the browser reads the fourth descriptor and writes the fifth, a NUL behind each message.
  const child = spawn(required("CHROMIUM", "a Chromium or Chrome program"), flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const ended = once(child, "exit");
  const [toBrowser, fromBrowser] = child.stdio.slice(3);
  const waiting = new Map();
  let lastId = 0;
  let rest = "";

  fromBrowser.setEncoding("utf8").on("data", (text) => {
    const messages = (rest + text).split("\0");
    rest = messages.pop();
    for (const { id, error, result } of messages.map((message) => JSON.parse(message))) {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error) reject?.(new Error(error.message));
      else resolve?.(result);
    }
  });
  ended.then(() => {
    for (const { reject } of waiting.values()) reject(new Error("Chromium ended"));
  });

  const send = (method, params, sessionId) =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      toBrowser.write(`${JSON.stringify({ id: lastId, method, params, sessionId })}\0`);
    });

  return {
    send,
    async close() {
      await send("Browser.close");
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  };
}
