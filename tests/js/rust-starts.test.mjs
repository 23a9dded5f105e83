/**
 * The guides of the crate, typed in as their readers do: from `cargo new` to a streamed answer. `trunk` takes ten minutes to
 * compile, so that a stand-in does what it does: compile for browsers, wasm-bindgen, serve (support/trunk.mjs).
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { filled, steps } from "./support/guide.mjs";
import { freePorts } from "./support/loopback.mjs";
import { required } from "./support/required.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";
import { TYPED } from "./support/typed-guides.mjs";

/** A first build takes minutes. */
const LIMIT = { timeout: 900_000 };
const root = path.resolve(import.meta.dirname, "../..");

let stack;
let browser;
let port;
let data;
const folders = [];

before(async () => {
  [port] = await freePorts(1);
  folders.push(await mkdtemp(path.join(tmpdir(), "behest-starts-")));
  const trunk = path.join(import.meta.dirname, "support/trunk.mjs");
  await writeFile(path.join(folders[0], "trunk"), `#!/bin/sh\nexec ${process.execPath} ${trunk} "$@"\n`, { mode: 0o755 });
  data = path.join(folders[0], "data.sqlite");
  stack = await startStack({ packageFolder: wwwFolder, more: ["--data", data, "--allow-origin", `http://127.0.0.1:${port}`] });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await stack?.stop();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** As somebody at a terminal; without symbols, which nobody here looks at. */
function run(command, cwd, more = {}) {
  const [program, ...args] = command.split(" ");
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: required("RUST_STARTS_TARGET", "where the projects are compiled"),
    CARGO_PROFILE_DEV_DEBUG: "0",
    PATH: `${folders[0]}${path.delimiter}${process.env.PATH}`,
    PORT: String(port),
    ...more,
  };
  const child = spawn(program, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  const said = [];
  child.stdout.setEncoding("utf8").on("data", (text) => said.push(text));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (log = (log + text).slice(-20_000)));
  const ended = once(child, "exit").then(([code]) => code);
  // What it started, too: trunk has cargo build.
  const stop = async () => {
    if (child.exitCode === null) process.kill(-child.pid, "SIGTERM");
    await ended;
  };
  /** Until it answers there. */
  const serves = async (url) => {
    const isUp = () => fetch(url).then(() => true, () => false);
    while (!(await isUp())) {
      const over = await Promise.race([ended, new Promise((next) => setTimeout(next, 200))]);
      assert.equal(over, undefined, `${command} ended: ${said.join("")}${log}`);
    }
  };
  return { said, log: () => log, ended, stop, serves };
}

async function succeeds(command, cwd) {
  const { said, log, ended } = run(command, cwd);
  assert.equal(await ended, 0, `${command}: ${log()}`);
  return said;
}

/** Takes the steps of a page up to the one that shows what came of them; gives that one and its folder. */
async function follow({ page, heading, last }) {
  let here = await mkdtemp(path.join(tmpdir(), "behest-starts-"));
  folders.push(here);
  // The checkout beside the reader's own project.
  await symlink(root, path.join(here, "behest-client"));
  const example = path.join(root, "examples", path.basename(page, ".md"));
  for (const { command, file, text } of steps(await readFile(path.join(root, page), "utf8"), heading)) {
    if (file) await writeFile(path.join(here, file), filled(text, stack));
    else if (command === last) return { command, here };
    else if (command.startsWith("cd ")) here = path.join(here, command.slice(3));
    else {
      await succeeds(command, here);
      // The versions of this project, with which most is compiled already.
      const name = /^cargo new (\S+)$/.exec(command)?.[1];
      const lockFile = [path.join(example, "Cargo.lock"), path.join(root, "Cargo.lock")].find(existsSync);
      if (name) await copyFile(lockFile, path.join(here, name, "Cargo.lock"));
    }
  }
  assert.fail(`${page} does not end in ${last}`);
}

/** The program streams into the terminal. */
async function inTerminal({ command, here }) {
  const said = await succeeds(command, here);
  assert.ok(said.length > 2, "it comes piece by piece");
  assert.match(said.join(""), /^[\s\S]{20,}\nSome\(Complete\)\n$/);
}

/** The page streams into Chromium. */
async function inPage({ command, here }) {
  const serving = run(command, here);
  const { page, context, complaints } = await openPage(browser);
  try {
    const url = `http://127.0.0.1:${port}/`;
    await serving.serves(url);
    await page.goto(url);
    await page.getByPlaceholder("Email").fill(stack.demoUser.email);
    await page.getByPlaceholder("Password").fill(stack.demoUser.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForFunction(() => Object.keys(localStorage).some((key) => /^sb-.*-auth-token$/.test(key)));
    await page.evaluate(() => {
      globalThis.lengths = new Set();
      const look = () => lengths.add(/assistant: (.*)/s.exec(document.body.innerText)?.[1].length ?? 0);
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await page.getByPlaceholder("Ask something").fill("What is a token?");
    await page.getByPlaceholder("Ask something").press("Enter");
    await page.getByText(/^assistant: .{10,}/s).waitFor();
    await page.waitForFunction(() => lengths.size > 3);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    await serving.stop();
  }
}

/** The endpoint gives a signed-in user a token with which the gateway answers. */
async function asServer({ command, here }) {
  const key = execFileSync(required("BEHEST_LOCAL", "behest-local"), ["keys", "--data", data, "--add"], { encoding: "utf8" });
  const serving = run(command, here, {
    SUPABASE_URL: stack.supabase,
    SUPABASE_PUBLISHABLE_KEY: stack.publishableKey,
    BEHEST_KEY: /^BEHEST_KEY=(\S+)$/m.exec(key)[1],
    BEHEST_BASE_URL: stack.gateway,
    CORS_ORIGIN: `http://127.0.0.1:${port}`,
  });
  const post = async (url, headers, body) => {
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: body && JSON.stringify(body) });
    assert.equal(response.status, 200, `${url}: ${await response.clone().text()}`);
    return response.json();
  };
  try {
    const url = "http://127.0.0.1:3000/behest-token";
    await serving.serves(url);
    const { token, sessionId } = await post(url, { authorization: `Bearer ${await stack.session()}` });
    const headers = { authorization: `Bearer ${token}`, "x-session-id": sessionId };
    const answer = await post(`${stack.gateway}/v1/chat/completions`, headers, { messages: [{ role: "user", content: "Hi!" }] });
    assert.ok(answer.choices[0].message.content.length > 10);
  } finally {
    await serving.stop();
  }
}

const SHOWS = { "README.md": inTerminal, "docs/leptos.md": inPage, "docs/yew.md": inPage, "docs/axum.md": asServer };

for (const guide of TYPED) {
  test(`${guide.page}, from cargo new to an answer`, LIMIT, async () => SHOWS[guide.page](await follow(guide)));
}
