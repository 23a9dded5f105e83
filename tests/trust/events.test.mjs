/** What a browser does to a page while it asks: networks that go, pages that sleep, clocks that jump, workers in between. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launchPlain } from "../js/support/devtools.mjs";
import { launchFirefox } from "../js/support/firefox.mjs";
import { installPackage } from "../js/support/package.mjs";
import { QUICK_MS, scenes, workerScript } from "./events.mjs";
import { differs, judgeTold, RETRIES } from "./judge.mjs";
import { servePages } from "./pages.mjs";
import { startStage } from "./stage.mjs";

/** The long form is in Firefox, too, as far as it can play them. */
const LONG = process.env.TRUST === "long";
const LIMIT = { timeout: LONG ? 840_000 : 240_000 };
/** What must never end a cell, however busy the machine is. */
const SLOW_MS = 50_000;
const TOGETHER = 6;

let installed, pages, stage;
/** By the folder of their page. */
const scripts = new Map();

before(async () => {
  installed = await installPackage();
  stage = await startStage();
  pages = await servePages(installed.packageFolder, ({ pathname }) => {
    const [, folder] = /^(.+\/)worker\.js$/.exec(pathname) ?? [];
    if (folder) return ["text/javascript", scripts.get(folder)];
    if (pathname.endsWith("/")) return ["text/html", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/trust/actor.mjs"></script>'];
  });
});
after(async () => {
  pages?.stop();
  stage?.stop();
  await installed?.remove();
});

/** Plays one scene; what was wrong with it. */
async function play(scene, host) {
  const { kind, want, worker, quick = [], again = {} } = scene;
  const id = `${scene.id}-${Math.random().toString(36).slice(2, 8)}`;
  const at = stage.scene(id, scene.scene);
  const folder = `/page/${id}/`;
  if (worker) scripts.set(folder, workerScript(worker));
  await host.open(pages.origin + folder);
  if (worker) await host.run("actor.control()");
  const timeouts = Object.fromEntries(["sessionMs", "tokenMs", "firstByteMs", "idleMs", "contentMs"].map((name) => [name, quick.includes(name) ? QUICK_MS : SLOW_MS]));
  const server = `${stage.url}/c/${id}`;
  await host.run(`actor.open(${JSON.stringify({ behestUrl: server, tokenUrl: `${server}/function`, maxRetries: RETRIES, timeouts })})`);
  const on = {
    host,
    kind,
    scene: at,
    begin: () => host.run(`actor.begin("${kind}")`),
    told: () => host.run("actor.told()"),
    async halfway() {
      await at.arrived.opened;
      if (kind === "stream") await host.run("actor.read()");
    },
  };
  const told = await scene.play(on);
  const wrong = judgeTold(want, kind, told);
  const must = (what, is, should) => is !== should && wrong.push(differs(what, is, should));
  must("token requests", at.mints, want.mints);
  must("prompts", at.prompts, want.prompts);
  if (JSON.stringify(told).includes("token-")) wrong.push("it shows a token");
  // And life goes on: the next call does what it would have done.
  if (again !== "any") {
    at.mint.open();
    at.go.open();
    await host.run('actor.begin("ask")');
    const next = await on.told();
    wrong.push(...judgeTold({}, "ask", next).map((line) => `afterwards: ${line} (${next.message})`));
    must("token requests afterwards", at.mints, Math.max(want.mints, 1) + (again.mints ?? 0));
    must("prompts afterwards", at.prompts, want.prompts + 1);
  }
  return wrong.map((line) => `${scene.name}, ${kind}: ${line} (${told.message})`);
}

async function hold(client, wanted, open, together) {
  const left = [...wanted];
  const wrong = [];
  async function worker() {
    for (let scene = left.shift(); scene; scene = left.shift()) {
      const host = await open();
      try {
        wrong.push(...(await play(scene, host)));
      } catch (error) {
        wrong.push(`${scene.name}, ${scene.kind}: ${error}`);
      } finally {
        await host.close();
      }
    }
  }
  await Promise.all(Array.from({ length: together }, worker));
  process.stdout.write(`${client}: ${wanted.length} events, ${wrong.length} wrong\n`);
  assert.deepEqual(wrong, []);
}

test("in Chromium", LIMIT, async () => {
  const browser = await launchPlain();
  try {
    await hold("chromium", scenes(["hidden"]), async () => {
      const page = await browser.open();
      const { windowId } = await page.send("Browser.getWindowForTarget");
      await page.send("Network.enable");
      const hidden = (isHidden) => page.send("Browser.setWindowBounds", { windowId, bounds: { windowState: isHidden ? "minimized" : "normal" } });
      const state = (state) => page.send("Page.setWebLifecycleState", { state });
      return {
        open: page.goto,
        run: page.run,
        close: page.close,
        offline: (isOffline) => page.send("Network.emulateNetworkConditions", { offline: isOffline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 }),
        async hidden(isHidden) {
          await hidden(isHidden);
          await page.run(`actor.visibility("${isHidden ? "hidden" : "visible"}")`);
        },
        async frozen(isFrozen) {
          if (!isFrozen) {
            await state("active");
            return hidden(false);
          }
          // Only what is hidden is frozen.
          await hidden(true);
          await page.run('actor.visibility("hidden")');
          const frozen = page.run("actor.frozen()");
          await state("frozen");
          await frozen;
        },
      };
    }, TOGETHER);
  } finally {
    await browser.close();
  }
});

if (LONG) {
  test("in Firefox", LIMIT, async () => {
    const firefox = await launchFirefox();
    try {
      const page = await firefox.open({ viewport: { width: 800, height: 600 } });
      await hold("firefox", scenes([]), async () => ({
        open: page.goto,
        async run(expression) {
          const value = await page.evaluate(`return await (${expression})`);
          if (value?.thrown) throw new Error(value.thrown);
          return value;
        },
        offline: page.offline,
        close: () => page.offline(false),
      }), 1);
    } finally {
      await firefox.close();
    }
  });
}
