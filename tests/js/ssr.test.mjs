/** On a server that renders pages: importing an entry, and making a client, touches no API of browsers and loads nothing. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";

const run = promisify(execFile);
let installed;

before(async () => {
  installed = await installPackage();
  await mkdir(path.join(installed.folder, "node_modules"), { recursive: true });
  await symlink(
    path.join(import.meta.dirname, "node_modules/react"),
    path.join(installed.folder, "node_modules/react"),
    "junction",
  );
});
after(() => installed?.remove());

/** What of the host is touched from inside the package while this runs. */
async function touched(program, conditions = []) {
  const watch = `
    const touched = [];
    const note = (name, value) => Object.defineProperty(globalThis, name, {
      configurable: true,
      get() {
        if (/behest-client/.test(new Error().stack)) touched.push(name);
        return value;
      },
    });
    for (const name of ["window", "document", "navigator", "location", "localStorage", "sessionStorage", "self", "fetch", "XMLHttpRequest",
      "WebAssembly", "requestAnimationFrame", "setTimeout", "setInterval", "Worker", "customElements"]) note(name, globalThis[name]);
    ${program}
    process.stdout.write(JSON.stringify(touched));
  `;
  const flags = conditions.flatMap((condition) => ["--conditions", condition]);
  const { stdout } = await run(process.execPath, [...flags, "--input-type=module", "--eval", watch], {
    cwd: installed.folder,
  });
  return JSON.parse(stdout);
}

const MAKE = `
  const { createClient } = await import("behest-client");
  const client = createClient({ behestUrl: "https://a.example", supabaseUrl: "https://b.example", getAccessToken: () => null });
  client.conversation();
`;

for (const conditions of [[], ["browser"], ["react-server"]]) {
  for (const entry of ["behest-client", "behest-client/inline", "behest-client/chat", "behest-client/ai-sdk", "behest-client/testing"]) {
    test(`importing ${entry} (${conditions.join() || "node"})`, LIMIT, async () => {
      assert.deepEqual(await touched(`await import("${entry}");`, conditions), []);
    });
  }
  test(`making a client (${conditions.join() || "node"})`, LIMIT, async () => {
    assert.deepEqual(await touched(MAKE, conditions), []);
  });
}

test("importing behest-client/react, and the browser's own file", LIMIT, async () => {
  assert.deepEqual(await touched('await import("behest-client/react");'), []);
  assert.deepEqual(await touched('await import("./node_modules/behest-client/index.js");'), []);
});

test("making a chat store", LIMIT, async () => {
  const program = `${MAKE} const { chatStore } = await import("behest-client/chat"); chatStore(client, { threadId: "t" }).getSnapshot();`;
  assert.deepEqual(await touched(program), []);
});

test("the watch sees what is touched", LIMIT, async () => {
  const program = `${MAKE} await client.warm().catch(() => {});`;
  assert.ok((await touched(program)).includes("WebAssembly"));
});
