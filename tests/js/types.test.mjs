/** The shipped types: under each module resolution, with the strictest settings, and against `openai`'s own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";

import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { required } from "./support/required.mjs";

const run = promisify(execFile);
const here = import.meta.dirname;
let installed;

before(async () => {
  installed = await installPackage();
  const modules = path.join(installed.folder, "node_modules");
  const libraries = ["openai", "@supabase/supabase-js", "react", "@types/react", "csstype", "ai", "@ai-sdk/react", "@ai-sdk/openai-compatible", "zod", "valibot"];
  for (const name of libraries) {
    await mkdir(path.dirname(path.join(modules, name)), { recursive: true });
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
async function compile(file, options, typescript = "typescript") {
  const project = path.join(installed.folder, "tsconfig.json");
  await writeFile(project, JSON.stringify({ compilerOptions: { ...STRICT, ...options }, files: [file] }));
  const compiler = path.join(here, "node_modules", typescript, "bin", "tsc");
  return run(process.execPath, [compiler, "--project", project, "--pretty", "false"]).then(
    () => "",
    ({ stdout, message }) => stdout || message,
  );
}

const BUNDLER = { module: "esnext", moduleResolution: "bundler" };
const NODE = { module: "nodenext", moduleResolution: "nodenext" };
/** The oldest TypeScript that `openai` supports, the usual one, and the newest. */
const COMPILERS = {
  "typescript-oldest": { "Node.js": { ...NODE, lib: ["es2022", "dom", "dom.iterable"] } },
  "typescript": { "bundlers": BUNDLER, "Node.js": NODE },
  "typescript-newest": { "bundlers": BUNDLER, "Node.js": NODE },
};

for (const [typescript, kinds] of Object.entries(COMPILERS)) {
  for (const [name, options] of Object.entries(kinds)) {
    // The other libraries' own declarations need the libraries of several platforms at once, and newer compilers.
    const files = typescript === "typescript-oldest" ? ["sample.ts", "entries.ts", "server.ts"] : ["sample.ts", "entries.ts", "server.ts", "libraries.ts"];
    for (const file of files) {
      test(`${file} compiles as for ${name} with ${typescript}`, LIMIT, async () => {
        assert.equal(await compile(file, { ...options, skipLibCheck: true }, typescript), "");
      });
    }
  }
}

test("the declarations themselves are sound and need no other package, React's hooks excepted", LIMIT, async () => {
  const entries = ["", "/auth", "/inline", "/chat", "/ai-sdk", "/server", "/testing"].map((entry, index) => `export * as entry${index} from "behest-client${entry}";\n`);
  await writeFile(path.join(installed.folder, "alone.ts"), entries.join(""));
  assert.equal(await compile("alone.ts", { ...NODE, skipLibCheck: false }), "");
  const manifest = JSON.parse(await readFile(path.join(installed.packageFolder, "package.json")));
  assert.deepEqual(manifest.dependencies ?? {}, {});
  assert.deepEqual(Object.keys(manifest.peerDependencies), ["react"]);
  assert.equal(manifest.peerDependenciesMeta.react.optional, true);
});

test("publint has nothing to say", LIMIT, async () => {
  const { messages } = await publint({ pkgDir: installed.packageFolder, level: "suggestion", strict: true, pack: false });
  assert.deepEqual(messages, []);
});

test("are-the-types-wrong has nothing to say of a package of modules", LIMIT, async () => {
  const tarball = await readFile(required("BEHEST_TARBALL", "the packed npm tarball"));
  const { problems, entrypoints } = await checkPackage(createPackageFromTarballData(new Uint8Array(tarball)));
  // That a module is `require`d, which Node.js has been able to since 20.19 (see below), is all there is to say.
  assert.deepEqual(problems.filter(({ kind }) => kind !== "CJSResolvesToESM"), []);
  assert.deepEqual(Object.keys(entrypoints).sort(), [".", "./ai-sdk", "./auth", "./chat", "./inline", "./package.json", "./react", "./server", "./testing"]);
});

test("every entry can be required where Node.js requires modules", LIMIT, async (t) => {
  if (!process.features.require_module) return t.skip("this Node.js does not");
  const names = ["", "/auth", "/inline", "/chat", "/react", "/ai-sdk", "/server", "/testing"].map((entry) => `behest-client${entry}`);
  await writeFile(
    path.join(installed.folder, "old.cjs"),
    `console.log(JSON.stringify(${JSON.stringify(names)}.map((name) => Object.keys(require(name)).length > 0)));\n`,
  );
  const { stdout } = await run(process.execPath, ["--no-warnings", "old.cjs"], { cwd: installed.folder });
  assert.deepEqual(JSON.parse(stdout), names.map(() => true));
});

test("a wrong use is found, so the checks above mean something", LIMIT, async () => {
  await writeFile(
    path.join(installed.folder, "wrong.ts"),
    'import { createClient } from "behest-client";\ncreateClient({ behestUrl: 1 });\n',
  );
  assert.match(await compile("wrong.ts", { module: "nodenext", moduleResolution: "nodenext" }), /wrong\.ts\(2,\d+\): error TS2/);
});
