import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { required } from "./required.mjs";

const run = promisify(execFile);

/**
 * Installs the packed tarball as a user would, into a new folder and without a network.
 * Returns that folder, the package inside it, `load` for one of its modules, and `remove`.
 */
export async function installPackage() {
  const tarball = path.resolve(required("BEHEST_TARBALL", "the packed npm tarball"));
  const folder = await mkdtemp(path.join(tmpdir(), "behest-client-"));
  await writeFile(path.join(folder, "package.json"), JSON.stringify({ name: "an-app", private: true, type: "module" }));
  const flags = ["--offline", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  await run("npm", ["install", ...flags, tarball], { cwd: folder, shell: process.platform === "win32" });
  const packageFolder = path.join(folder, "node_modules", "behest-client");
  return {
    folder,
    packageFolder,
    load: (file, query = "") => import(pathToFileURL(path.join(packageFolder, file)).href + query),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
