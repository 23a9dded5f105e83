/** The packed package in each tool and runtime: built as that does it, then asking and streaming in a real browser or runtime. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage } from "../js/support/browser.mjs";
import { freePorts } from "../js/support/loopback.mjs";
import { startStack, wwwFolder } from "../js/support/stack.mjs";

/** The short form needs nothing but what the other tests have installed. */
const isShort = process.env.MATRIX === "short";
const modules = ["pages", "runtimes", ...(isShort ? [] : ["bundlers", "frameworks", "runners"])];
const loaded = await Promise.all(modules.map((name) => import(`./tools/${name}.mjs`)));
const TOOLS = loaded.flatMap((tools) => Object.values(tools));
const LIMIT = { timeout: 300_000 };

const WORKS = { asks: true, streams: true, outcome: "complete", chats: "complete", fetches: 200 };

let stack;
let browser;
let settings;
let ports;
const rows = [];

before(async () => {
  ports = await freePorts(TOOLS.length);
  const origins = ports.flatMap((port) => ["--allow-origin", `http://127.0.0.1:${port}`]);
  stack = await startStack({ packageFolder: wwwFolder, more: origins });
  browser = await launch();
  settings = JSON.stringify({ supabaseUrl: stack.supabase, behestUrl: stack.gateway, session: await stack.session() });
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  if (!isShort && rows.length === TOOLS.length) await writeTable();
});

async function inPage(site) {
  const { page, context, complaints } = await openPage(browser);
  try {
    await page.goto(`${site.url}?settings=${encodeURIComponent(settings)}`);
    const told = await page.waitForSelector("body[data-result]", { state: "attached", timeout: 60_000 }).catch((error) => {
      throw new Error(`the page has no result: ${complaints.join("; ") || error.message}`);
    });
    return JSON.parse(await told.getAttribute("data-result"));
  } finally {
    await context.close();
  }
}

for (const [index, tool] of TOOLS.entries()) {
  test(tool.name, LIMIT, async () => {
    let result;
    if (tool.run) {
      result = await tool.run({ SETTINGS: settings });
    } else {
      const site = await tool.page(ports[index], [stack.supabase, stack.gateway]);
      try {
        result = await inPage(site);
      } finally {
        await site.stop();
      }
    }
    assert.deepEqual(result, WORKS);
    rows.push(tool);
  });
}

/** What has been proved just now. */
async function writeTable() {
  const lines = rows.map(({ name, version, note }) => `| ${name} | ${version?.() ?? ""} | ${note ?? ""} |`);
  const text = `# Where it runs

Each line was built as that tool does it and then asked, streamed, chatted and fetched through the packed package, pages in
a real browser. \`cargo xtask test --suite matrix\` does it again and writes this file.

| where | version | what it needs beyond \`import\` |
|---|---|---|
${lines.join("\n")}
`;
  await writeFile(path.join(import.meta.dirname, "../../docs/matrix.md"), text);
}
