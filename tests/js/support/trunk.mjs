/** `trunk serve`, as far as the guides need it: compiles for browsers, has wasm-bindgen make a script of it, serves the page. */
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";

import { required } from "./required.mjs";

const [command] = process.argv.slice(2);
if (command !== "serve") throw new Error(`this stand-in can only serve, not ${command}`);

const target = "wasm32-unknown-unknown";
const built = execFileSync("cargo", ["build", "--target", target, "--message-format=json"], { encoding: "utf8", maxBuffer: 64 << 20, stdio: ["ignore", "pipe", "inherit"] });
const artifacts = built.split("\n").filter(Boolean).map((line) => JSON.parse(line));
const module = artifacts.flatMap(({ filenames = [] }) => filenames).findLast((file) => file.endsWith(".wasm"));
const out = path.resolve("dist");
execFileSync(required("BINDGEN", "the program around wasm-bindgen"), [module, out, "page"], { stdio: "inherit" });

const link = '<link data-trunk rel="rust" />';
const html = await readFile("index.html", "utf8");
if (!html.includes(link)) throw new Error(`index.html has no ${link}`);
const script = '<link rel="icon" href="data:,"><script type="module">import init from "/page.js"; await init({ module_or_path: "/page_bg.wasm" });</script>';
const files = {
  "/page.js": ["text/javascript", await readFile(path.join(out, "page.js"))],
  "/page_bg.wasm": ["application/wasm", await readFile(path.join(out, "page_bg.wasm"))],
};
createServer(({ url }, response) => {
  const [type, body] = files[url] ?? ["text/html", html.replace(link, script)];
  response.writeHead(200, { "content-type": type }).end(body);
}).listen(Number(process.env.PORT), "127.0.0.1");
