import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { required } from "./required.mjs";

const DEADLINE_MS = 60_000;
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
const ENTER = "\uE007";

/** Headless Firefox through geckodriver: as much of WebDriver as pictures and checks of a page need. */
export async function launchFirefox() {
  const driver = spawn(required("GECKODRIVER", "geckodriver"), ["--port", "0", "--log", "info", "--allow-system-access"], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: driver.stdout });
  let port;
  for await (const line of lines) if ((port = /Listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1])) break;
  driver.stdout.resume();
  const call = async (path, body, method = body ? "POST" : "GET") => {
    const reply = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const { value } = await reply.json();
    if (!reply.ok) throw new Error(`Firefox: ${value.error}: ${value.message}`);
    return value;
  };

  /** A window of its own profile. */
  async function open({ viewport, colorScheme }) {
    const prefs = {
      "layout.css.prefers-color-scheme.content-override": colorScheme === "dark" ? 0 : 1,
      "ui.prefersReducedMotion": 1,
    };
    const options = { binary: required("FIREFOX", "Firefox"), args: ["-headless"], prefs };
    const capabilities = { alwaysMatch: { browserName: "firefox", "moz:firefoxOptions": options } };
    const { sessionId } = await call("/session", { capabilities });
    const at = `/session/${sessionId}`;
    const evaluate = (script, ...args) => call(`${at}/execute/async`, { script: `const done = arguments[arguments.length - 1]; (async () => { ${script} })().then(done, (error) => done({ thrown: String(error) }))`, args });
    const find = async (css) => {
      await evaluate(`const end = Date.now() + ${DEADLINE_MS - 5000}; while (!document.querySelector(arguments[0]) && Date.now() < end) await new Promise(requestAnimationFrame);`.replace("arguments[0]", JSON.stringify(css)));
      return (await call(`${at}/element`, { using: "css selector", value: css }))[ELEMENT];
    };
    // What the window's own frame takes is not the page's.
    await call(`${at}/timeouts`, { script: DEADLINE_MS });
    const { width, height } = await evaluate("return { width: outerWidth - innerWidth, height: outerHeight - innerHeight }");
    // Its windows are 450 pixels wide or wider, unless their own style sheet is overruled.
    await call(`${at}/moz/context`, { context: "chrome" });
    await call(`${at}/execute/sync`, { script: "document.documentElement.style.minWidth = 0", args: [] });
    await call(`${at}/moz/context`, { context: "content" });
    await call(`${at}/window/rect`, { width: viewport.width + width, height: viewport.height + height });
    const inner = await evaluate("return innerWidth");
    if (inner !== viewport.width) throw new Error(`Firefox's page is ${inner} wide instead of ${viewport.width}`);
    return {
      /** As if there were no network, the loopback included. */
      async offline(isOffline) {
        await call(`${at}/moz/context`, { context: "chrome" });
        const script = `Services.prefs.setBoolPref("network.disable-localhost-when-offline", true); Services.io.offline = ${isOffline}`;
        await call(`${at}/execute/sync`, { script, args: [] });
        await call(`${at}/moz/context`, { context: "content" });
      },
      evaluate,
      goto: (url) => call(`${at}/url`, { url }),
      waitFor: find,
      click: async (css) => call(`${at}/element/${await find(css)}/click`, {}),
      type: async (css, text) => call(`${at}/element/${await find(css)}/value`, { text: text + ENTER }),
      screenshot: async () => Buffer.from(await call(`${at}/moz/screenshot/full`), "base64"),
      close: () => call(at, undefined, "DELETE"),
    };
  }

  return {
    open,
    async close() {
      driver.kill();
      await once(driver, "exit");
    },
  };
}
