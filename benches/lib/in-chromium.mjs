/** Measures in headless Chromium: CPU time of all threads of its renderer processes, as the kernel counts it. */
import { readdirSync, readFileSync } from "node:fs";

import { launch } from "../../tests/js/support/browser.mjs";
import { bundle } from "./bundle.mjs";
import { sweep } from "./in-node.mjs";
import { serve } from "./serve.mjs";

/**
 * Opens a page with the subjects of `subjects.mjs` as `globalThis.subjects`, and gives it to `use` with `cpu`, which
 * measures the milliseconds of CPU time that some work in the page takes.
 */
export async function inChromium(installed, use) {
  const contents = `
    import { createClient } from "behest-client";
    import * as peers from "./peers/index.mjs";
    import * as makers from "./lib/subjects.mjs";
    globalThis.modules = { createClient, ...peers };
    globalThis.makers = makers;
    globalThis.subjects = {};
  `;
  const server = await serve();
  const script = server.addScript("/bench/page.js", await bundle(contents, installed), installed);
  server.add("/bench/", "text/html", `<!doctype html><meta charset="utf-8"><title>bench</title><script type="module" src="${script}"></script>`);
  const browser = await launch(["--js-flags=--expose-gc"]);
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => process.stderr.write(`in the page: ${error.stack}\n`));
    await page.goto(`${server.origin}/bench/`);
    await page.waitForFunction(() => globalThis.subjects);
    const renderers = await rendererClock(browser);
    const cpu = async (work, argument) => {
      await page.evaluate(sweep);
      const before = await renderers();
      await page.evaluate(work, argument);
      return (await renderers()) - before;
    };
    return await use({ page, cpu });
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Milliseconds of CPU time that all renderer processes have used. */
async function rendererClock(browser) {
  const session = await browser.newBrowserCDPSession();
  return async () => {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer");
    return renderers.reduce((sum, { id, cpuTime }) => sum + (threadsTime(id) ?? cpuTime * 1000), 0);
  };
}

/** Linux counts in nanoseconds, thread by thread; elsewhere Chromium's own figure has to do. */
function threadsTime(pid) {
  try {
    const tasks = `/proc/${pid}/task`;
    const nanoseconds = readdirSync(tasks).map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]));
    return nanoseconds.reduce((sum, value) => sum + value, 0) / 1e6;
  } catch {
    return undefined;
  }
}
