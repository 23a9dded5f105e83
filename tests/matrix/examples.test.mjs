/** The examples, and what the quickstart shows: built as a user would, and driven in Chromium against behest-local. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";

import { build } from "vite";

import { launch, openPage } from "../js/support/browser.mjs";
import { filled, steps } from "../js/support/guide.mjs";
import { freePorts } from "../js/support/loopback.mjs";
import { startStack, wwwFolder } from "../js/support/stack.mjs";
import { html, output, program, project } from "./project.mjs";
import { serveFolder, serveProgram } from "./serve.mjs";

const LIMIT = { timeout: 180_000 };
const root = path.resolve(import.meta.dirname, "../..");
const NAMES = ["plain-html", "react-vite", "ai-sdk", "svelte", "next", "quickstart"];

let stack;
let browser;
let ports;

before(async () => {
  ports = Object.fromEntries((await freePorts(NAMES.length)).map((port, index) => [NAMES[index], port]));
  const origins = Object.values(ports).flatMap((port) => ["--allow-origin", `http://127.0.0.1:${port}`]);
  stack = await startStack({ packageFolder: wwwFolder, more: origins });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await stack?.stop();
});

const example = (name, files = {}) => project(name, files, path.join(root, "examples", name));

/** The `.env` file of an example, whose variables begin so. */
const settings = (prefix) =>
  Object.entries({ SUPABASE_URL: stack.supabase, SUPABASE_PUBLISHABLE_KEY: stack.publishableKey, BEHEST_URL: stack.gateway })
    .map(([name, value]) => `${prefix}_${name}=${value}\n`)
    .join("");

/** Signs in, asks, stops, asks again: what every example can do. */
async function drive(site, { tools = true } = {}) {
  const { page, context, complaints } = await openPage(browser);
  try {
    await page.goto(site.url);
    await page.getByLabel("Email").fill(stack.demoUser.email);
    await page.getByLabel("Password").fill("wrong password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").filter({ hasText: /\w/ }).waitFor();
    // The browser itself reports the refusal.
    assert.equal(
      complaints
        .splice(0)
        .filter((complaint) => !/status of 400/.test(complaint))
        .join(),
      "",
    );
    await page.getByLabel("Password").fill(stack.demoUser.password);
    await page.getByRole("button", { name: "Sign in" }).click();

    const answers = page.locator("[data-role=assistant]");
    const status = (text) => page.getByRole("status").filter({ hasText: text }).waitFor();
    const ask = async (question) => {
      await page.getByLabel("Your question").fill(question);
      await page.getByRole("button", { name: "Send" }).click();
    };
    await ask("What is a token?");
    await status("complete");
    const first = await answers.last().innerText();
    assert.ok(first.length > 10, first);
    assert.equal(await page.getByLabel("Your question").inputValue(), "");

    if (tools) {
      await ask("Use get_time, please.");
      await answers.nth(1).waitFor();
      await status("complete");
    }
    const before = await answers.count();
    await ask("Tell me a very long story about everything.");
    await answers
      .nth(before)
      .filter({ hasText: /\w+ \w+/ })
      .waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await status(/aborted|ready/);
    const half = await answers.last().innerText();
    await page.getByRole("button", { name: "Again" }).click();
    await status(/submitted|streaming/).catch(() => {});
    await status("complete");
    assert.notEqual(await answers.last().innerText(), half);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    await site.stop();
  }
}

/** Everything of an example, as far as its author wrote it. */
async function lines(folder) {
  let count = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      count += (await readFile(path.join(entry.parentPath ?? entry.path, entry.name), "utf8")).split("\n").length - 1;
  }
  return count;
}

test("no example is longer than 150 lines", async () => {
  for (const name of NAMES.filter((name) => name !== "quickstart")) {
    const count = await lines(path.join(root, "examples", name));
    assert.ok(count < 150, `${name} has ${count} lines`);
  }
});

test("plain-html", LIMIT, async () => {
  const config = { supabaseUrl: stack.supabase, publishableKey: stack.publishableKey, behestUrl: stack.gateway };
  const folder = await example("plain-html", { "config.json": JSON.stringify(config) });
  await drive(await serveFolder(folder, ports["plain-html"]), { tools: false });
});

for (const name of ["react-vite", "ai-sdk", "svelte"]) {
  test(name, LIMIT, async () => {
    const folder = await example(name, { ".env": settings("VITE") });
    await build({
      root: folder,
      configFile: path.join(folder, "vite.config.js"),
      logLevel: "error",
      build: { outDir: "out" },
    });
    await drive(await serveFolder(path.join(folder, "out"), ports[name]));
  });
}

test("next: no secret of the server is in what browsers get", LIMIT, async () => {
  const secret = `behest_sk_live_${"0123456789abcdef".repeat(2)}`;
  const folder = await example("next", {
    ".env": `${settings("NEXT_PUBLIC")}BEHEST_KEY=${secret}\n`,
    "next.config.mjs":
      'import path from "node:path";\nexport default { turbopack: { root: path.resolve("../..") }, outputFileTracingRoot: path.resolve("../..") };\n',
  });
  await output(program("next"), ["build"], folder, { NODE_ENV: "production" });
  const files = await readdir(path.join(folder, ".next/static"), { recursive: true });
  const scripts = files.filter((file) => file.endsWith(".js"));
  assert.ok(scripts.length > 0);
  for (const file of scripts)
    assert.ok(!(await readFile(path.join(folder, ".next/static", file), "utf8")).includes(secret), file);
  const port = ports.next;
  await drive(
    await serveProgram(process.execPath, [program("next"), "start", "--hostname", "127.0.0.1", "--port", String(port)], {
      cwd: folder,
      port,
      env: { NODE_ENV: "production" },
    }),
  );
});

test("the quickstart, typed into a fresh app of Vite's React template", LIMIT, async () => {
  const text = await readFile(path.join(root, "docs/quickstart.md"), "utf8");
  // As `npm create vite` leaves it, what the quickstart writes anew excepted.
  const fresh = {
    "index.html": html('<div id="root"></div><script type="module" src="/src/main.jsx"></script>'),
    "src/main.jsx":
      'import { StrictMode } from "react";\nimport { createRoot } from "react-dom/client";\nimport App from "./App.jsx";\ncreateRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);\n',
    "vite.config.js": 'import react from "@vitejs/plugin-react";\nexport default { plugins: [react()] };\n',
  };
  const written = steps(text, "## React").filter(({ file }) => file);
  const files = Object.fromEntries(written.map(({ file, text }) => [file, filled(text, stack)]));
  assert.deepEqual(Object.keys(files), [".env.local", "src/clients.js", "src/App.jsx"]);
  const folder = await project("quickstart", { ...fresh, ...files });
  await build({
    root: folder,
    configFile: path.join(folder, "vite.config.js"),
    logLevel: "error",
    build: { outDir: "out" },
  });
  const site = await serveFolder(path.join(folder, "out"), ports.quickstart);
  const { page, context, complaints } = await openPage(browser);
  try {
    await page.goto(site.url);
    await page.getByPlaceholder("Email").fill(stack.demoUser.email);
    await page.getByPlaceholder("Password").fill(stack.demoUser.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByPlaceholder("Ask something").fill("What is a token?");
    await page.getByPlaceholder("Ask something").press("Enter");
    await page.getByText(/^assistant: .{10,}/).waitFor();
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    site.stop();
  }
});
