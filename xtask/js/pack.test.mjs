// What users get: the tarball named in BEHEST_TARBALL, unpacked, installed and loaded.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { installPackage } from "../../tests/js/support/package.mjs";
import { required } from "../../tests/js/support/required.mjs";
import { eager } from "./eager.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

const { folder: project, packageFolder: installed, load, remove } = await installPackage();
after(remove);
const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
const files = readdirSync(installed, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(installed.length + 1));

/** Every path in an exports tree. */
const leaves = (value) =>
  typeof value === "string" ? [value] : value === null ? [] : Object.values(value).flatMap(leaves);

const moduleFile = () => join(installed, "dist/behest.wasm");

test("every file that package.json names is there", () => {
  const named = [manifest.exports, manifest.types ?? [], manifest.main ?? []].flatMap(leaves);
  assert.ok(named.length > 0, "package.json exports nothing");
  for (const path of named) assert.ok(existsSync(join(installed, path)), `${path} is not in the tarball`);
});

test("nothing else is there", () => {
  const unexpected = files.filter((file) => !/\.(js|mjs|d\.ts|d\.mts|wasm|md)$|^package\.json$|^LICENSE/.test(file));
  assert.deepEqual(unexpected, []);
  assert.deepEqual(files.filter((file) => file.endsWith(".wasm")).sort(), ["dist/auth.wasm", "dist/behest.wasm", "dist/server.wasm"]);
  assert.ok(files.some((file) => file.startsWith("LICENSE")), "the licence is missing");
  assert.ok(files.includes("README.md"), "the README is missing");
});

test("it has the crate's version, no dependencies and no scripts that run at install", () => {
  assert.equal(manifest.version, required("BEHEST_VERSION", "the crate's version"));
  assert.deepEqual(manifest.dependencies ?? {}, {});
  for (const script of ["preinstall", "install", "postinstall", "prepare"]) {
    assert.equal(manifest.scripts?.[script], undefined, script);
  }
});

test("the builder's paths are nowhere inside, and private key handling only in the server's files", () => {
  const keys = ["RSA private key", "SERVICE_ROLE"];
  const ofServer = (file) => /^(dist\/)?server[-.]/.test(file);
  let withKeys = 0;
  for (const file of files) {
    const bytes = readFileSync(join(installed, file));
    const found = [root, homedir(), ".cargo/registry", ...keys]
      // A home folder such as "/" says nothing.
      .filter((text) => text.length > 4 && bytes.includes(text));
    withKeys += found.some((text) => keys.includes(text)) ? 1 : 0;
    assert.deepEqual(found.filter((text) => !(ofServer(file) && keys.includes(text))), [], file);
  }
  assert.ok(withKeys > 0, "not even the server's module handles private keys: this test looks for the wrong words");
});

test("no file of the other entries imports one of the server's", () => {
  const others = files.filter((file) => file.endsWith(".js") && !/^(dist\/)?server/.test(file));
  assert.ok(others.includes("index.js"));
  for (const file of others) assert.doesNotMatch(readFileSync(join(installed, file), "utf8"), /["']\.\/(dist\/)?server/, file);
});

test("what runs before a page's first request leaves is compiled with its script", () => {
  for (const file of ["dist/glue.js", ...["body", "client", "drive", "early", "options", "session", "token", "wasm"].map((name) => `lib/${name}.js`)]) {
    const code = readFileSync(join(installed, file), "utf8");
    assert.equal(code, eager(code), file);
    assert.match(code, /= \((async )?(function|\()/, file);
  }
});

test("the module carries no names, debug information or build notes", async () => {
  const module = await WebAssembly.compile(readFileSync(moduleFile()));
  for (const section of ["name", "producers", "target_features", ".debug_info"]) {
    assert.equal(WebAssembly.Module.customSections(module, section).length, 0, section);
  }
});

test("script and types know the same reasons, with the same actions and hints", async () => {
  const { REASONS } = await load("dist/reasons.js");
  const types = readFileSync(join(installed, "index.d.ts"), "utf8").match(/export type Reason =([^]*?)";/)[1] + '"';
  const rows = [...types.matchAll(/\/\*\* `(\w+)`: (.*) \*\/\n  \| "(\w+)"/g)].map(([, action, hint, name]) => [name, action, hint]);
  assert.deepEqual(rows.map(([name]) => name).sort(), Object.keys(REASONS).sort());
  let withHint = 0;
  for (const [name, action, hint] of rows) {
    // Where the script has no hint, the server sends it along.
    const [usualAction, usualHint = hint] = REASONS[name];
    assert.deepEqual([usualAction, usualHint], [action, hint], name);
    withHint += REASONS[name].length > 1;
  }
  assert.ok(withHint > 25 && withHint < rows.length, `${withHint} of ${rows.length} have a hint`);
});

test("each createGlue gives an instance of its own, and every export passes the guard", async () => {
  const { createGlue } = await load("dist/glue.js");
  const bytes = readFileSync(moduleFile());
  const seen = [];
  const guard = (exports) => {
    seen.push(exports);
    return exports;
  };
  for (const glue of [createGlue(guard), createGlue(guard)]) {
    const [first, second] = await Promise.all([1, 2].map(() => glue({ module_or_path: bytes })));
    assert.equal(first, second, "one instance for one glue");
    assert.ok(Object.keys(glue).length > 0, "the glue has no members");
  }
  assert.equal(seen.length, 2);
  const [one, two] = seen.map((exports) => Object.values(exports).find((e) => e instanceof WebAssembly.Memory));
  assert.ok(one && two && one !== two, "two instances share one memory");
});

test("it can be imported by name from an installed project", () => {
  const program = 'const m = await import("behest-client"); console.log(typeof m.createClient);';
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", program], { cwd: project });
  assert.equal(printed.toString().trim(), "function");
});
