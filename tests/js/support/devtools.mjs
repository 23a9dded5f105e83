import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { ARGS } from "./browser.mjs";
import { required } from "./required.mjs";

/**
 * Headless Chromium as it is for users: Playwright keeps pages visible, focused and their timers exact, so that none can be
 * hidden or frozen, and each of their requests costs what the debugger makes of its call stack. This one speaks the DevTools
 * protocol over a pipe, and leaves pages alone.
 */
export async function launchPlain() {
  const profile = await mkdtemp(path.join(tmpdir(), "behest-chromium-"));
  const args = ["--headless", "--remote-debugging-pipe", `--user-data-dir=${profile}`, ...ARGS, "about:blank"];
  const child = spawn(required("CHROMIUM", "a Chromium or Chrome program"), args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [, , , input, output] = child.stdio;
  const waiting = new Map();
  const listeners = new Set();
  let last = 0;
  let text = "";
  output.setEncoding("utf8").on("data", (more) => {
    const messages = (text + more).split("\0");
    text = messages.pop();
    for (const { id, result, error, ...event } of messages.map((message) => JSON.parse(message))) {
      if (id === undefined) for (const listener of listeners) listener(event);
      else if (error) waiting.get(id).reject(new Error(`${waiting.get(id).method}: ${error.message}`));
      else waiting.get(id).resolve(result);
      waiting.delete(id);
    }
  });
  const send = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      waiting.set((last += 1), { method, resolve, reject });
      input.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
  const event = (name, of) =>
    new Promise((resolve) => {
      const listener = ({ method, params, sessionId }) => {
        if (method !== name || sessionId !== of) return;
        listeners.delete(listener);
        resolve(params);
      };
      listeners.add(listener);
    });

  async function open(browserContextId) {
    const { targetId } = await send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const ask = (method, params) => send(method, params, sessionId);
    await ask("Page.enable");
    return {
      send: ask,
      async goto(url) {
        const loaded = event("Page.loadEventFired", sessionId);
        await ask("Page.navigate", { url });
        await loaded;
      },
      /** What an expression, or the promise that it gives, comes to. */
      async run(expression) {
        const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
      },
      close: () => send("Target.closeTarget", { targetId }),
    };
  }

  /** What pages share that one user opens: storage, cookies and caches. */
  async function newProfile() {
    const { browserContextId } = await send("Target.createBrowserContext");
    return {
      open: () => open(browserContextId),
      close: () => send("Target.disposeBrowserContext", { browserContextId }),
    };
  }

  return {
    newProfile,
    /** A page of a profile of its own. */
    async open() {
      const profile = await newProfile();
      return { ...(await profile.open()), close: profile.close };
    },
    async close() {
      const ended = once(child, "exit");
      // Its end may come before its answer.
      send("Browser.close").catch(() => {});
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
