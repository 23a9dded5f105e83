/** Every block of code in the README and in docs/ is run: here, or where `ELSEWHERE` says. A block that nothing runs fails. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { access, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { createClient as createSupabase } from "@supabase/supabase-js";
import { build } from "esbuild";
import { compile } from "svelte/compiler";

import { startBadServer, events, says, DONE } from "./support/bad-server.mjs";
import { launch, openPage } from "./support/browser.mjs";
import { blocks, commands, filled } from "./support/guide.mjs";
import { TYPED } from "./support/typed-guides.mjs";
import { LIMIT } from "./support/limits.mjs";
import { listen } from "./support/loopback.mjs";
import { installPackage } from "./support/package.mjs";
import { required } from "./support/required.mjs";
import { startStack } from "./support/stack.mjs";

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "../..");
const read = (file) => readFile(path.join(root, file), "utf8");
const docs = (await readdir(path.join(root, "docs"))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
const PAGES = ["README.md", "pkg/README.md", ...docs.sort()];

let installed;
let stack;
let browser;
let supabase;
let count = 0;

before(async () => {
  installed = await installPackage();
  stack = await startStack(installed);
  browser = await launch();
  supabase = createSupabase(stack.supabase, stack.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: class {} },
  });
  const { error } = await supabase.auth.signInWithPassword(stack.demoUser);
  assert.equal(error, null);
  await mkdir(path.join(installed.folder, "node_modules/@supabase"), { recursive: true });
  await symlink(path.join(root, "tests/js/node_modules/@supabase/supabase-js"), path.join(installed.folder, "node_modules/@supabase/supabase-js"));
});
after(async () => {
  await browser?.close();
  await stack?.stop();
  await installed?.remove();
});

/** One file of a text and the packages it imports; ours is the installed one. */
async function bundled(contents, { platform = "node", define = {}, plugins = [], loader = "jsx" } = {}) {
  const entry = (name) => path.join(installed.packageFolder, `${name}.js`);
  const { outputFiles } = await build({
    stdin: { contents, loader, resolveDir: import.meta.dirname },
    bundle: true,
    format: "esm",
    platform,
    target: "es2022",
    jsx: "automatic",
    define,
    plugins,
    nodePaths: [path.join(import.meta.dirname, "node_modules")],
    alias: {
      ...Object.fromEntries(["chat", "react", "ai-sdk", "testing", "inline"].map((name) => [`behest-client/${name}`, entry(name)])),
      "behest-client/auth": entry("auth-node"),
      // Whatever else is in the file, the module comes with it.
      "behest-client": entry("inline"),
    },
    // Its module lies beside it.
    external: [entry("auth-node")],
    // Some packages still `require`.
    banner: platform === "node" ? { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' } : {},
    write: false,
    logLevel: "error",
  });
  return outputFiles[0].text;
}

/** Runs a block as a module in which these names are known; gives what it leaves in `out`. */
async function runs(text, known = {}, options = {}) {
  const seen = { out: {}, ...known };
  globalThis.documented = seen;
  const names = Object.keys(seen);
  const imports = [...text.matchAll(/^import .*;$/gm)].map(([line]) => line).join("\n");
  const body = text.replaceAll(/^import .*;$/gm, "");
  const module = `${imports}\nconst { ${names.join(", ")} } = globalThis.documented;\n${options.before ?? ""}\n{\n${body}\n${options.after ?? ""}\n}`;
  const file = path.join(installed.folder, `block-${(count += 1)}.mjs`);
  await writeFile(file, await bundled(filled(module, stack), options));
  await import(pathToFileURL(file).href);
  return seen.out;
}

const messages = [{ role: "user", content: "What is a token?" }];

/** A client for blocks that begin with one. */
async function client(options = {}) {
  const { createClient } = await installed.load("node.js");
  return createClient({ supabase, behestUrl: stack.gateway, ...options });
}

const collects = () => {
  const shown = [];
  return { shown, show: (text) => shown.push(text) };
};

/** Every command is one of xtask's, as far as its flags and its suites tell; others are run by `also`. */
async function xtask({ text }, also = {}) {
  for (const command of commands(text)) {
    if (command in also) await also[command]();
    else {
      const args = /^cargo xtask (.+)$/.exec(command)?.[1].split(" ");
      assert.ok(args, `${command} is run by nothing`);
      // It reads its flags, and does nothing.
      await run("cargo", ["xtask", ...args, "--help"], { cwd: root });
    }
  }
}

/** Commands that suites run as they stand, by the word of the file that does. */
const inFile = (file, words) => async () => assert.ok((await read(file)).includes(words), `${file} does not run it any more`);

const doctor = async ({ text }) => {
  const { data } = await supabase.auth.getSession();
  const origin = stack.page;
  for (const command of commands(filled(text, stack).replaceAll("http://localhost:5173", origin).replace("SUPABASE_ACCESS_TOKEN=… ", ""))) {
    const [npx, ...args] = command.split(/\s+/);
    assert.equal(npx, "npx");
    const env = { ...process.env, SUPABASE_ACCESS_TOKEN: data.session.access_token, npm_config_offline: "true" };
    const { stdout } = await run(npx, args, { cwd: installed.folder, env });
    assert.doesNotMatch(stdout, /^FAIL/m);
    assert.match(stdout, /^ok /m);
  }
};

/** A page with this script, with which nothing goes wrong. */
async function inPage(script, headers, look) {
  const site = createServer(({ url }, response) => {
    const [type, body] = url === "/app.js" ? ["text/javascript", script] : ["text/html", PAGE];
    response.writeHead(200, { "content-type": type, ...headers }).end(body);
  });
  const { url, stop } = await listen(site);
  const { page, context, complaints } = await openPage(browser);
  try {
    await page.goto(url);
    await look(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
    await stop();
  }
}

const PAGE = '<!doctype html><link rel="icon" href="data:,"><body><script type="module" src="/app.js"></script></body>';

/** A page under this policy asks, and gets its answer. */
async function underPolicy(policy) {
  const server = await startBadServer();
  const script = await bundled('import { createClient } from "behest-client"; globalThis.createClient = createClient;', { platform: "browser" });
  const here = filled(policy, { supabase: server.url, gateway: server.url });
  await inPage(script, { "content-security-policy": here }, async (page) => {
    await page.waitForFunction(() => globalThis.createClient);
    const answer = await page.evaluate(
      (url) => createClient({ supabaseUrl: url, behestUrl: url, getAccessToken: () => "a.user.session" }).ask("Hi!"),
      server.url,
    );
    assert.equal(answer, "Hello.");
  }).finally(server.stop);
}

/** The lines before and after a change. */
const sides = (text) => {
  const side = (mark) =>
    text
      .split("\n")
      .filter((line) => !line.startsWith(mark))
      .map((line) => line.replace(/^[-+ ]/, ""))
      .join("\n");
  return { old: side("+"), now: side("-") };
};

/** The component in a page: what is typed is asked, and the answer shown. */
async function svelte({ text }) {
  const server = await startBadServer();
  server.use({ chat: events([says("Hello"), says(" there.", "stop"), DONE]) });
  const files = {
    "./App.svelte": compile(text, { generate: "client" }).js.code,
    "./clients.js": `import { createClient } from "behest-client"; export const behest = createClient({ supabaseUrl: "${server.url}", behestUrl: "${server.url}", getAccessToken: () => "a.user.session" });`,
  };
  const plugin = {
    name: "files",
    setup(building) {
      building.onResolve({ filter: /^\.\/(App\.svelte|clients\.js)$/ }, ({ path }) => ({ path, namespace: "files" }));
      building.onLoad({ filter: /.*/, namespace: "files" }, ({ path }) => ({ contents: files[path], resolveDir: import.meta.dirname }));
    },
  };
  const main = 'import { mount } from "svelte"; import App from "./App.svelte"; mount(App, { target: document.body });';
  const script = await bundled(main, { platform: "browser", plugins: [plugin] });
  await inPage(script, {}, async (page) => {
    await page.locator("input").fill("Hi!");
    await page.locator("input").press("Enter");
    await page.getByText("assistant: Hello there.").waitFor();
    assert.equal(await page.locator("input").inputValue(), "");
  }).finally(server.stop);
}

const endpoint = async ({ text }) =>
  assert.ok((await read("examples/supabase-function/supabase/functions/behest-token/index.ts")).endsWith(text), "it is the example's, which runs on Deno");

const README_JS = async ({ text }) => {
  const { shown, show } = collects();
  const said = [];
  await runs(text, { supabase, messages, signal: undefined, show, say: (text) => said.push(text) });
  assert.ok(shown.length > 1 && shown.join("").length > 20);
  assert.deepEqual(said, ["complete"]);
};

/** Page, the block's first line that tells it from others there, and how it is run. */
const RUN = [
  ["README.md", "$ cargo xtask demo ", xtask],
  [
    "README.md",
    "$ cargo xtask pack",
    (block) => xtask(block, { [`npm install ../behest-client/pkg/${path.basename(required("BEHEST_TARBALL", "the tarball"))}`]: () => access(installed.packageFolder) }),
  ],
  ["README.md", 'import { createClient } from "behest-client";', README_JS],
  ["README.md", 'import { createTokenEndpoint } from "behest-client/server";', endpoint],
  [
    "README.md",
    "$ cargo test ",
    (block) =>
      xtask(block, {
        "cargo test": inFile("xtask/src/suites/published.rs", '"test"'),
        "wasm-pack test --headless --chrome": inFile("xtask/src/suites/table.rs", '"test", "--headless"'),
        "cargo xtask test": inFile(".ci/run", "exec cargo xtask test"),
      }),
  ],
  ["docs/cors.md", "npx behest-client doctor", doctor],
  ["docs/quickstart.md", "SUPABASE_ACCESS_TOKEN=…", doctor],
  ["pkg/README.md", "SUPABASE_ACCESS_TOKEN=…", doctor],
  [
    "docs/sign-in.md",
    'import { createClient } from "behest-client/auth";',
    async ({ text }) => {
      const { shown, show } = collects();
      const urls = { SUPABASE_URL: stack.supabase, PUBLISHABLE_KEY: stack.publishableKey, BEHEST_URL: stack.gateway };
      await runs(text, { ...urls, ...stack.demoUser, show }, { after: "behest.close();" });
      assert.ok(shown.includes(`Hello, ${stack.demoUser.email}`) && shown.at(-1).length > 20, shown.join());
    },
  ],
  ["docs/csp.md", "Content-Security-Policy:", ({ text }) => underPolicy(text.replace("Content-Security-Policy:", "").replaceAll(/\s+/g, " ").trim())],
  ["docs/tauri.md", "{", ({ text }) => underPolicy(JSON.parse(text).app.security.csp)],
  [
    "docs/errors.md",
    "try {",
    async ({ text }) => {
      const called = [];
      const note = (name) => (value) => called.push([name, value]);
      const known = { showSignIn: note("sign in"), showPlans: note("plans"), say: note("say") };
      const failing = (action) => ({ ask: async () => Promise.reject(Object.assign(new Error(action), { action })) });
      for (const action of ["upgrade", "give_up"]) await runs(text, { behest: failing(action), ...known });
      const behest = await client({ supabase: undefined, supabaseUrl: stack.supabase, getAccessToken: () => null });
      await runs(text, { behest, ...known });
      assert.deepEqual(called, [["plans", undefined], ["say", "give_up"], ["sign in", undefined]]);
    },
  ],
  [
    "docs/migrating.md",
    "-import OpenAI",
    async ({ text }) => {
      const { old, now } = sides(text);
      const texts = [];
      for (const side of [old, now]) {
        const { shown, show } = collects();
        await runs(side, { supabase, messages, show, SUPABASE_URL: stack.supabase, BEHEST_URL: stack.gateway });
        texts.push(shown.join(""));
      }
      assert.ok(texts[0].length > 20);
      assert.equal(texts[0], texts[1]);
    },
  ],
  [
    "docs/migrating.md",
    "-const openai = new OpenAI({ apiKey });",
    async ({ text }) => {
      const out = await runs(`import OpenAI from "openai";\n${sides(text).now}`, { behest: await client(), messages }, { after: 'out.answer = await openai.chat.completions.create({ model: "default", messages });' });
      assert.ok(out.answer.choices[0].message.content.length > 20);
    },
  ],
  [
    "docs/migrating.md",
    "-import { BehestProvider",
    async ({ text }) => {
      const element = sides(text).now.replace("<BehestProvider client={behest}>", "out.element = <BehestProvider client={behest}>x</BehestProvider>;");
      const out = await runs(element, { supabase, BEHEST_URL: stack.gateway });
      assert.equal(typeof out.element.props.client.chat.completions.create, "function");
    },
  ],
  ["docs/quickstart.md", "<script>", svelte],
  [
    "docs/quickstart.md",
    "// Vue",
    async ({ text }) => {
      const { chatStore } = await installed.load("chat.js");
      const chat = chatStore(await client());
      const known = { chat };
      const out = await runs(`import { effectScope, onScopeDispose, shallowRef } from "@vue/reactivity";\nconst scope = effectScope();\nscope.run(() => {\n${text}\nout.state = state; });\nout.scope = scope;`, known);
      await chat.send("Hi!");
      assert.equal(out.state.value.messages.length, 2);
      out.scope.stop();
      await chat.send("Again");
      assert.equal(out.state.value.messages.length, 2, "it follows no more");
    },
  ],
  [
    "docs/quickstart.md",
    "// Solid",
    async ({ text }) => {
      const { chatStore } = await installed.load("chat.js");
      const chat = chatStore(await client());
      const out = await runs(`import { createRoot, from } from "solid-js/dist/solid.js";\ncreateRoot((dispose) => {\n${text}\nout.state = state; out.dispose = dispose; });`, { chat });
      await chat.send("Hi!");
      assert.equal(out.state().messages.length, 2);
      out.dispose();
    },
  ],
  [
    "docs/quickstart.md",
    'import { useChat } from "@ai-sdk/react";',
    async ({ text }) => {
      const imports = 'import { createElement } from "react";\nimport { renderToString } from "react-dom/server";\n';
      const out = await runs(`${imports}${text}`, { behest: await client() }, {
        // The block is the inside of a component.
        before: "function Page() {",
        after: "Object.assign(out, { messages, sendMessage, stop, transport }); return null; }\n}\nrenderToString(createElement(Page));\n{",
      });
      assert.deepEqual(out.messages, []);
      assert.equal(typeof out.sendMessage, "function");
      const stream = await out.transport.sendMessages({ chatId: "c", trigger: "submit-message", messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "Hi!" }] }] });
      const parts = [];
      for await (const part of stream) parts.push(part.type);
      assert.ok(parts.includes("text-delta"), parts.join());
    },
  ],
  [
    "docs/quickstart.md",
    "new OpenAI({ apiKey",
    async ({ text }) => {
      const imports = 'import OpenAI from "openai";\nimport { createOpenAICompatible } from "@ai-sdk/openai-compatible";\nimport { ChatOpenAI } from "@langchain/openai";\n';
      const made = text.replaceAll(/^(new|create)/gm, "out.made = [...(out.made ?? []), $1").replaceAll(/\}\);$/gm, "})];");
      const out = await runs(`${imports}${made}`, { behest: await client() });
      assert.equal(out.made.length, 4);
      const [openai, , langchain] = out.made;
      const answer = await openai.chat.completions.create({ model: "default", messages });
      assert.ok(answer.choices[0].message.content.length > 20);
      assert.ok((await langchain.invoke("What is a token?")).content.length > 20);
      // The suite `matrix` has LlamaIndex itself.
      assert.ok((await read("tests/matrix/libraries.test.mjs")).includes("additionalSessionOptions: session"));
    },
  ],
  [
    "pkg/README.md",
    'import { createClient } from "behest-client";',
    async ({ text }) => {
      const logged = [];
      await runs(text, { supabase, console: { log: (text) => logged.push(text) } });
      assert.ok(logged[0].length > 20);
    },
  ],
  [
    "pkg/README.md",
    'import { chatStore } from "behest-client/chat";',
    async ({ text }) => {
      const rendered = [];
      await runs(text, { behest: await client(), render: (messages, status) => rendered.push([messages.length, status]) });
      assert.deepEqual([rendered[0], rendered.at(-1)], [[0, "ready"], [2, "ready"]]);
    },
  ],
  ["pkg/README.md", 'import { createTokenEndpoint } from "behest-client/server";', endpoint],
  [
    "pkg/README.md",
    'import { World, stream, delta, CUT } from "behest-client/testing";',
    async ({ text }) => {
      const urls = { supabaseUrl: "https://abc.supabase.co", behestUrl: "https://x.behest.app" };
      const out = await runs(`import { createClient } from "behest-client";\n${text}`, { urls }, { after: 'out.answer = await behest.ask("Hi!");' });
      assert.equal(typeof out.answer, "string");
    },
  ],
];

/** Blocks that another suite runs as they stand: how that is known. */
const ELSEWHERE = [
  {
    // `cargo test --doc` compiles and runs them.
    covers: async (page, { lang, words }) =>
      lang === "rust" && !words.includes("ignore") && (await read("src/lib.rs")).includes(`include_str!("../${page}")`),
  },
  {
    // rust-starts.test.mjs types them in.
    covers: async (page, { heading }) => TYPED.some((guide) => guide.page === page && heading.startsWith(guide.heading)),
  },
  {
    // server-examples.test.mjs runs it.
    covers: async (page, { file }) =>
      page === "docs/server.md" && file !== undefined && (await read("tests/js/server-examples.test.mjs")).includes(`file === "${file}"`),
  },
  {
    // The suite `examples` types them into an app of Vite's, and drives it.
    covers: async (page, { heading, file }) =>
      page === "docs/quickstart.md" && heading.startsWith("## React") && file !== undefined && (await read("tests/matrix/examples.test.mjs")).includes('steps(text, "## React")'),
  },
  {
    // One that no machine without an account or a registry runs says so to its reader.
    covers: async (_page, { words }) => words.join(" ").startsWith("not run: "),
  },
];

for (const page of PAGES) {
  for (const block of blocks(await read(page))) {
    const first = block.text.split("\n")[0];
    test(`${page}:${block.line} ${block.lang} ${first}`, LIMIT, async () => {
      const here = RUN.filter(([of, begins]) => of === page && block.text.startsWith(begins));
      if (here.length > 0) {
        assert.equal(here.length, 1);
        return here[0][2](block);
      }
      for (const { covers } of ELSEWHERE) if (await covers(page, block)) return;
      assert.fail("nothing runs it");
    });
  }
}

test("everything that is run here is still there", async () => {
  for (const [page, begins] of RUN.filter(([page]) => PAGES.includes(page))) {
    const found = blocks(await read(page)).filter(({ text }) => text.startsWith(begins));
    assert.equal(found.length, 1, `${page}: ${begins}`);
  }
});

test("hardly anything says that it is not run", async () => {
  let silent = 0;
  for (const page of PAGES) for (const { words } of blocks(await read(page))) if (words.includes("not")) silent += 1;
  assert.ok(silent <= 1, `${silent} blocks`);
});
