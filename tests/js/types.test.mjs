/** The shipped types: under each module resolution, with the strictest settings, and against `openai`'s own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";

const run = promisify(execFile);
const here = import.meta.dirname;
let installed;

before(async () => {
  installed = await installPackage();
  const modules = path.join(installed.folder, "node_modules");
  await mkdir(path.join(modules, "@supabase"), { recursive: true });
  for (const name of ["openai", "@supabase/supabase-js"]) {
    await symlink(path.join(here, "node_modules", name), path.join(modules, name), "junction");
  }
  await cp(path.join(here, "types"), installed.folder, { recursive: true });
});
after(() => installed?.remove());

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noEmit: true,
  target: "es2022",
  lib: ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
  types: [],
};

/** What the compiler says about `file`. */
async function compile(file, options) {
  const project = path.join(installed.folder, "tsconfig.json");
  await writeFile(project, JSON.stringify({ compilerOptions: { ...STRICT, ...options }, files: [file] }));
  const compiler = path.join(here, "node_modules", "typescript", "bin", "tsc");
  return run(process.execPath, [compiler, "--project", project, "--pretty", "false"]).then(
    () => "",
    ({ stdout, message }) => stdout || message,
  );
}

for (const [name, options] of Object.entries({
  "bundlers": { module: "esnext", moduleResolution: "bundler" },
  "Node.js": { module: "nodenext", moduleResolution: "nodenext" },
})) {
  test(`a sample application compiles as for ${name}`, LIMIT, async () => {
    // `openai`'s and supabase-js's own declarations need the libraries of several platforms at once.
    assert.equal(await compile("sample.ts", { ...options, skipLibCheck: true }), "");
  });
}

test("the declarations themselves are sound and need no other package", LIMIT, async () => {
  await writeFile(path.join(installed.folder, "alone.ts"), 'export * from "behest-client";\n');
  assert.equal(await compile("alone.ts", { module: "nodenext", moduleResolution: "nodenext", skipLibCheck: false }), "");
  const { dependencies = {}, peerDependencies = {} } = JSON.parse(await readFile(path.join(installed.packageFolder, "package.json")));
  assert.deepEqual([...Object.keys(dependencies), ...Object.keys(peerDependencies)], []);
});

test("a wrong use is found, so the checks above mean something", LIMIT, async () => {
  await writeFile(
    path.join(installed.folder, "wrong.ts"),
    'import { createClient } from "behest-client";\ncreateClient({ behestUrl: 1 });\n',
  );
  assert.match(await compile("wrong.ts", { module: "nodenext", moduleResolution: "nodenext" }), /wrong\.ts\(2,\d+\): error TS2/);
});
