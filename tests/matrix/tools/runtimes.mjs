// Without a page.
import { execFileSync } from "node:child_process";

import { startWorkerd } from "../../js/server/runtimes.mjs";
import { fromTests, output, project, testProgram } from "../project.mjs";

const printed = (text) => JSON.parse(text.trim().split("\n").at(-1));
const version = (command, ...args) => execFileSync(command, args, { encoding: "utf8" }).match(/\d+\.\d+\.\d+/)[0];

export const node = {
  name: "Node.js",
  version: () => process.versions.node,
  async run(settings) {
    return printed(await output(process.execPath, ["runtime.mjs"], await project("node"), settings));
  },
};

export const deno = {
  name: "Deno",
  version: () => version(testProgram("deno"), "--version"),
  async run(settings) {
    const flags = ["run", "--quiet", "--node-modules-dir=manual", "--allow-net=127.0.0.1", "--allow-env", "--allow-read"];
    return printed(await output(testProgram("deno"), [...flags, "runtime.mjs"], await project("deno"), settings));
  },
};

export const bun = {
  name: "Bun",
  version: () => version(testProgram("bun"), "--version"),
  async run(settings) {
    return printed(await output(testProgram("bun"), ["runtime.mjs"], await project("bun"), settings));
  },
};

export const workerd = {
  name: "workerd (Cloudflare Workers)",
  version: () => fromTests("workerd/package.json").version,
  note: "wrangler takes the `.wasm` by itself",
  async run({ SETTINGS }) {
    const folder = await project("workerd", {
      "worker.mjs":
        'import { prove } from "./prove.js"; export default { fetch: async (_request, env) => Response.json(await prove(JSON.parse(env.SETTINGS))) };',
    });
    const worker = await startWorkerd(folder, "worker.mjs", { SETTINGS }, "behest.wasm");
    try {
      const response = await fetch(`http://127.0.0.1:${worker.port}/`);
      const text = await response.text();
      return response.ok ? JSON.parse(text) : { error: `${response.status} ${text}` };
    } finally {
      worker.stop();
    }
  },
};
