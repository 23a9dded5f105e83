import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";

import { required } from "../js/support/required.mjs";

const run = promisify(execFile);
const here = import.meta.dirname;

/**
 * A project of this name with the packed package in its `node_modules` and the application (`from`) beside it. It lies below
 * this folder, so that it finds the tools that are installed here.
 */
export async function project(name, files = {}, from = path.join(here, "app")) {
  const folder = path.join(here, "work", name);
  await rm(folder, { recursive: true, force: true });
  const modules = path.join(folder, "node_modules");
  await mkdir(modules, { recursive: true });
  await run("tar", ["-xzf", path.resolve(required("BEHEST_TARBALL", "the packed npm tarball")), "-C", modules]);
  await rename(path.join(modules, "package"), path.join(modules, "behest-client"));
  await cp(from, folder, { recursive: true });
  const manifest = JSON.stringify({ name, private: true, type: "module", dependencies: { "behest-client": "*" } });
  for (const [file, text] of Object.entries({ "package.json": manifest, ...files })) {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }
  return folder;
}

/** Has the application of a project import the entry with the module inside the script. */
export async function importsInline(folder) {
  const file = path.join(folder, "prove.js");
  await writeFile(file, (await readFile(file, "utf8")).replace('"behest-client"', '"behest-client/inline"'));
}

/** A program of the packages that are installed here. */
export const program = (name) => path.join(here, "node_modules/.bin", name);

/** A program of the packages of the other tests. */
export const testProgram = (name) => path.join(here, "../js/node_modules/.bin", name);

/** A package of the other tests. */
export const fromTests = createRequire(new URL("../js/package.json", import.meta.url));

/** What version of a package is installed here. */
export const versionOf = (name) => () => JSON.parse(readFileSync(path.join(here, "node_modules", name, "package.json"))).version;

/** Runs it in the project, and gives what it printed. */
export async function output(command, args, cwd, env = {}) {
  const options = {
    cwd,
    env: { ...process.env, NODE_ENV: "", NEXT_TELEMETRY_DISABLED: "1", ...env },
    maxBuffer: 64 << 20,
    timeout: 240_000,
  };
  try {
    const { stdout, stderr } = await run(command, args, options);
    return stdout + stderr;
  } catch (failed) {
    throw new Error(
      `${path.basename(command)} ${args.join(" ")} failed: ${failed.message}\n${failed.stdout}\n${failed.stderr}`,
    );
  }
}

/** The page of a bundle. */
export const html = (script, more = "") =>
  `<!doctype html><html lang="en"><head><title>matrix</title><link rel="icon" href="data:,">${more}</head><body>${script}</body></html>`;
