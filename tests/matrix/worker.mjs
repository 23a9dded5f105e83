import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";

const capnp = (settings) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "dist/behest.wasm", wasm = embed "behest.wasm"),
  ],
  bindings = [(name = "SETTINGS", text = ${JSON.stringify(settings)})],
  compatibilityDate = "2026-10-01",
);
`;

/** `worker.js` of this folder on real workerd. */
export async function startProgram(workerd, folder, settings) {
  await writeFile(path.join(folder, "worker.capnp"), capnp(settings));
  const child = spawn(workerd, ["serve", "worker.capnp", "--control-fd=3"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (log += text));
  const port = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdio[3] }).on(
      "line",
      (line) => line.startsWith("{") && JSON.parse(line).port && resolve(JSON.parse(line).port),
    );
    child.once("exit", (code) => reject(new Error(`workerd ended with ${code}: ${log}`)));
  });
  return { url: `http://127.0.0.1:${port}/`, stop: () => child.kill("SIGKILL") };
}
