/** Where the measured package and Chromium are, as `cargo xtask bench` says. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { installPackage } from "../../tests/js/support/package.mjs";

/** Fewer rounds: for a first impression. */
export const QUICK = process.env.BENCH_QUICK === "1";

/** Installs the packed tarball as a user would, gives it to `use`, and removes it. */
export async function withPackage(use) {
  const installed = await installPackage();
  try {
    return await use(installed);
  } finally {
    await installed.remove();
  }
}

/** The installed package, as an application in Node gets it. */
export async function importPackage({ folder }) {
  const entry = path.join(folder, "entry.mjs");
  await writeFile(entry, `export * from "behest-client";\n`);
  return import(pathToFileURL(entry).href);
}

export const progress = (text) => process.stderr.write(`    ${text}\n`);

/** One line for each measured pair: what it is, this project's figure, a peer's, and their unit. */
export const report = (figure) => process.stdout.write(`${JSON.stringify(figure)}\n`);
