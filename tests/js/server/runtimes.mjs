// The five hosts, each started with the packed package installed beside the program.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { installPackage } from "../support/package.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const program = (name) => join(here, "../node_modules/.bin", name);

/** The installed package with this folder's programs beside it. */
export async function installPrograms() {
  const installed = await installPackage();
  cpSync(here, installed.folder, { recursive: true });
  return installed;
}

/** Makes one file of a program of this folder and the packages it imports. */
export function bundleProgram(name, output) {
  const options = ["--bundle", "--format=esm", "--platform=browser", `--outfile=${output}`, "--log-level=error"];
  execFileSync(program("esbuild"), [join(here, name), ...options]);
  return output;
}

/** A function of the Supabase example, on Deno, with the installed package in place of the registry's. */
export function startFunction(folder, index, variables) {
  const map = join(mkdtempSync(join(folder, "function-")), "import-map.json");
  const server = new URL(`file://${join(folder, "node_modules/behest-client/server.js")}`).href;
  writeFileSync(map, JSON.stringify({ imports: { "behest-client/server": server } }));
  return start(
    program("deno"),
    ["run", "--no-config", `--import-map=${map}`, "--allow-net=127.0.0.1,kong", "--allow-env", index],
    { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0", ...variables } },
    (line) => Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(line)?.[1]),
  );
}

/** The program `command`, which says `listening <port>`. */
export function startProgram(command, env, ...args) {
  return start(command, args, { env: { ...process.env, ...env } }, spoken);
}

/** Starts `command` and waits for the line that `port` finds a port in. */
function start(command, args, options, port) {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe", ...(options.extra ?? [])] });
  let log = "";
  /** Asked to stop, as containers are: the code it exits with. */
  const end = () => {
    child.kill("SIGTERM");
    return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  };
  const keep = (chunk) => (log = (log + chunk).slice(-200_000));
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${command} ended with ${code}: ${log}`)));
    for (const stream of [child.stdout, child.stderr, ...child.stdio.slice(3)]) {
      createInterface({ input: stream }).on("line", (line) => {
        const found = port(line);
        if (found) resolve({ port: found, log: () => log, stop: () => child.kill("SIGKILL"), end });
      });
    }
  });
}

const spoken = (line) => Number(/^listening (\d+)$/.exec(line)?.[1]);

/** As wrangler does it: the conditions of Workers, and `.wasm` files left to the host. */
function bundleWorker(folder, entry, wasm) {
  execFileSync(
    program("esbuild"),
    [
      join(folder, entry),
      "--bundle",
      "--format=esm",
      "--conditions=workerd,worker,browser",
      "--external:*.wasm",
      "--external:cloudflare:*",
      `--outfile=${join(folder, "worker.js")}`,
      "--log-level=error",
    ],
    { cwd: folder },
  );
  cpSync(join(folder, "node_modules/behest-client/dist", wasm), join(folder, wasm));
}

/** What workerd is told: a script, one of the package's modules, and what its `env` holds. */
export const capnp = (bindings, wasm, script = "worker.js") => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [
    (name = "${script}", esModule = embed "${script}"),
    (name = "dist/${wasm}", wasm = embed "${wasm}"),
  ],
  bindings = [${Object.entries(bindings).map(([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`)}],
  compatibilityDate = "2026-10-01",
);
`;

/** A worker on real workerd: `entry` bundled, `bindings` as its `env`, with one of the package's modules. */
export function startWorkerd(folder, entry, bindings, wasm = "server.wasm") {
  bundleWorker(folder, entry, wasm);
  writeFileSync(join(folder, "worker.capnp"), capnp(bindings, wasm));
  const heard = (line) => line.startsWith("{") && JSON.parse(line).port;
  return start(program("workerd"), ["serve", "worker.capnp", "--control-fd=3"], { cwd: folder, extra: ["pipe"] }, heard);
}

/** `name` → a promise of the running host. */
export function startAll(folder, settings, axumHost) {
  const env = { ...process.env, SETTINGS: JSON.stringify(settings) };
  const at = { cwd: folder, env };
  return {
    axum: start(axumHost, [], at, spoken),
    node: start(process.execPath, ["--max-http-header-size=65536", "host-node.mjs"], at, spoken),
    deno: start(program("deno"), ["run", "--allow-net=127.0.0.1", "--allow-env=SETTINGS", "host-deno.mjs"], at, spoken),
    bun: start(program("bun"), ["--max-http-header-size=65536", "host-bun.mjs"], at, spoken),
    workerd: startWorkerd(folder, "host-workerd.mjs", { SETTINGS: env.SETTINGS }),
  };
}
