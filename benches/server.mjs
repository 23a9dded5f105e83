/**
 * The server module beside the documented function, `jose` and the bare crypto library: CPU of a mint in the process, CPU of a
 * request with its exchanges, rate and latency under load, and the time from start to first answer. Subjects are processes of
 * their own, measured in turn. CPU is read from /proc, so this runs on Linux.
 */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { Agent, request as send } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { capnp, installPrograms } from "../tests/js/server/runtimes.mjs";
import { token } from "../tests/js/server/tokens.mjs";
import { startUpstream } from "../tests/js/server/upstream.mjs";
import { median, medians } from "./lib/rounds.mjs";
import { progress, QUICK, report } from "./lib/setting.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const program = (name) => join(here, "../tests/js/node_modules/.bin", name);
const ROUNDS = QUICK ? 5 : 15;
const MINTS = 400;
const REQUESTS = QUICK ? 300 : 1000;
const STARTS = QUICK ? 3 : 9;
const RUNTIMES = ["node", "deno", "bun", "workerd"];
if (!existsSync("/proc/self/schedstat")) throw new Error("this benchmark reads CPU times from /proc: run it on Linux");

const upstream = await startUpstream();
const project = await installPrograms();
const env = {
  SUPABASE_URL: upstream.url,
  SUPABASE_ANON_KEY: "sb_publishable_default",
  BEHEST_KEY: "behest_sk_live_0123456789abcdef",
  BEHEST_BASE_URL: upstream.url,
  CORS_ORIGIN: "https://app.example.com",
};
/** Of one session, and of more than the module remembers. */
const callers = (count) =>
  Array.from({ length: count }, (_, one) => {
    const session = token({ claims: { sub: "plan-pro", session_id: `session-${one}` } }, upstream.url);
    return { origin: env.CORS_ORIGIN, authorization: `Bearer ${session}` };
  });
const [known] = callers(1);
const strangers = callers(5000);
let turn = 0;
const running = new Set();

/** Mints in the process, without a network. */
async function mints() {
  progress("native mints");
  const { known, behest, sign, crypto } = JSON.parse(execFileSync(process.env.SERVER_BENCH, ["mints", `${MINTS}`], { encoding: "utf8" }));
  report({ figure: "server native", where: "native", unit: "µs", ours: behest, peer: "verify and sign", theirs: crypto });
  report({ figure: "server native, again", where: "native", unit: "µs", ours: known, peer: "sign", theirs: sign });
  for (const runtime of RUNTIMES) {
    progress(`mints in ${runtime}`);
    const child = await start(runtime, "behest", true);
    const sample = async (subject) => {
      const before = cpu(child.pid);
      await get(child.port, `/mints/${subject}/${MINTS}`);
      return ((cpu(child.pid) - before) * 1000) / MINTS;
    };
    const names = ["behest", "behest, new sessions", "jose", "verify", "verify and sign"];
    const each = await medians(names.map(encodeURIComponent), ROUNDS, sample);
    const of = (name) => each[encodeURIComponent(name)];
    const figure = (figure, ours, peer) => report({ figure, case: runtime, where: runtime, unit: "µs", ours: of(ours), peer, theirs: of(peer) });
    figure("server mint, again", "behest", "jose");
    for (const peer of ["jose", "verify", "verify and sign"]) figure("server mint", "behest, new sessions", peer);
    child.stop();
  }
}

/** Requests with their exchanges: key set, plan and mint are asked of the same upstream. */
async function requests() {
  const native = await listening(spawn(process.env.SERVER_BENCH, ["serve"], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "ignore"] }));
  const subjects = { native, wasm: await start("deno", "behest"), documented: await start("deno", "documented") };
  for (const connections of [1, 16, 256]) {
    progress(`requests over ${connections} connections`);
    const loads = {};
    await medians(Object.keys(subjects), QUICK ? 3 : 7, async (name) => {
      const { pid, port } = subjects[name];
      const before = cpu(pid);
      const load = await put(port, connections);
      (loads[name] ??= []).push({ ...load, cpu: ((cpu(pid) - before) * 1000) / REQUESTS });
      return load.rate;
    }, 1);
    const of = (name, what) => median(loads[name].slice(1).map((load) => load[what]));
    const figure = (name, ours, what, unit) =>
      report({ figure: `server ${name}`, case: `${connections}`, where: ours, unit, ours: of(ours, what), peer: `documented, deno`, theirs: of("documented", what) });
    figure("axum time", "native", "each", "ms");
    figure("axum p50", "native", "p50", "ms");
    figure("axum p99", "native", "p99", "ms");
    if (connections === 16) {
      figure("axum cpu, again", "native", "cpu", "µs");
      figure("wasm cpu, again", "wasm", "cpu", "µs");
      progress("the same of new sessions");
      const cpus = await medians(Object.keys(subjects), QUICK ? 3 : 7, async (name) => {
        const { pid, port } = subjects[name];
        const before = cpu(pid);
        await put(port, connections, () => strangers[(turn += 1) % strangers.length]);
        return ((cpu(pid) - before) * 1000) / REQUESTS;
      }, 1);
      const fresh = (name, ours) =>
        report({ figure: `server ${name}`, case: "16", where: ours, unit: "µs", ours: cpus[ours], peer: "documented, deno", theirs: cpus.documented });
      fresh("axum cpu", "native");
      fresh("wasm cpu", "wasm");
    }
  }
  for (const child of Object.values(subjects)) child.stop();
}

/** From the start of the process to its first answer. */
async function starts() {
  for (const runtime of RUNTIMES) {
    progress(`starts of ${runtime}`);
    const times = await medians(["behest", "documented"], STARTS, async (subject) => {
      const began = performance.now();
      const child = await start(runtime, subject);
      await post(child.port);
      child.stop();
      return performance.now() - began;
    });
    report({ figure: "server start", case: runtime, where: runtime, unit: "ms", ours: times.behest, peer: "documented", theirs: times.documented });
  }
}

/** `REQUESTS` requests over so many connections. */
async function put(port, connections, caller = () => known) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const times = [];
  let left = REQUESTS;
  const began = performance.now();
  const one = async () => {
    while (left-- > 0) {
      const from = performance.now();
      await post(port, agent, caller());
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  const took = performance.now() - began;
  agent.destroy();
  times.sort((one, other) => one - other);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { rate: took, each: took / REQUESTS, p50: at(0.5), p99: at(0.99) };
}

const get = (port, path) => exchange({ port, path, agent: false });
const post = (port, agent = false, headers = known) => exchange({ port, path: "/functions/v1/behest-token", method: "POST", headers, agent });

function exchange(options) {
  return new Promise((resolve, reject) => {
    const request = send({ host: "127.0.0.1", ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${response.statusCode}: ${text}`))));
    });
    request.on("error", reject).end();
  });
}

/** CPU of a process, of all its threads, in milliseconds. */
function cpu(pid) {
  const nanos = (thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((all, thread) => all + nanos(thread), 0) / 1e6;
}

/** What stands around the handler in each runtime. Where mints are measured, the subject has everything in it. */
function source(runtime, subject, all) {
  const make = {
    behest: 'import { createTokenEndpoint as make } from "behest-client/server";',
    documented: 'import { documented as make } from "../../tests/js/server/documented.mjs";',
  };
  const begin = all ? 'import { host as make } from "./host.mjs";' : make[subject];
  const said = "console.log(`listening ${port}`)";
  return {
    node: `${begin}
      import { createServer } from "node:http";
      const handle = make(process.env);
      const server = createServer(async (incoming, outgoing) => {
        const response = await handle(new Request("http://host" + incoming.url, { method: incoming.method, headers: incoming.headers }));
        outgoing.writeHead(response.status, Object.fromEntries(response.headers));
        outgoing.end(Buffer.from(await response.arrayBuffer()));
      });
      server.listen(0, "127.0.0.1", () => { const { port } = server.address(); ${said}; });`,
    deno: `${begin}\nDeno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => ${said} }, make(Deno.env.toObject()));`,
    bun: `${begin}\nconst { port } = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: make(process.env) });\n${said};`,
    workerd: `${begin}\nlet handle;\nexport default { fetch: (request, env) => (handle ??= make(env))(request) };`,
  }[runtime];
}

function bundle(runtime, subject, all) {
  const folder = join(project.folder, `${runtime}-${subject}-${all ? "all" : "alone"}`);
  if (existsSync(folder)) return folder;
  mkdirSync(folder);
  const entry = join(here, "server", `.entry-${runtime}.mjs`);
  const server = join(project.folder, "node_modules/behest-client", runtime === "workerd" ? "server-workerd.js" : "server.js");
  const options = ["--bundle", "--format=esm", "--external:node:*", "--external:*.wasm", `--alias:behest-client/server=${server}`];
  options.push(runtime === "node" ? "--platform=node" : "--platform=browser", `--outfile=${join(folder, "main.mjs")}`, "--log-level=error");
  const peers = { ...process.env, NODE_PATH: join(here, "peers/node_modules") };
  const input = source(runtime, subject, all);
  execFileSync(program("esbuild"), [...options, `--sourcefile=${entry}`], { cwd: join(here, "server"), env: peers, input });
  if (runtime === "workerd") {
    cpSync(join(project.folder, "node_modules/behest-client/dist/server.wasm"), join(folder, "server.wasm"));
    writeFileSync(join(folder, "worker.capnp"), capnp({ ...env, SUBJECT: subject }, "server.wasm", "main.mjs"));
  }
  return folder;
}

const COMMANDS = {
  node: [process.execPath, "main.mjs"],
  deno: [program("deno"), "run", "--no-config", "--allow-net=127.0.0.1", "--allow-env", "main.mjs"],
  bun: [program("bun"), "main.mjs"],
  workerd: [program("workerd"), "serve", "worker.capnp", "--control-fd=3"],
};

function start(runtime, subject, all = false) {
  const [command, ...options] = COMMANDS[runtime];
  const variables = { PATH: process.env.PATH, HOME: project.folder, NO_COLOR: "1", ...env, SUBJECT: subject };
  const stdio = ["ignore", "pipe", "ignore", "pipe"];
  return listening(spawn(command, options, { cwd: bundle(runtime, subject, all), env: variables, stdio }));
}

/** Waits until it says at which port it listens. */
function listening(child) {
  running.add(child);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)));
    for (const stream of [child.stdout, child.stdio[3]].filter(Boolean)) {
      createInterface({ input: stream }).on("line", (line) => {
        const port = line.startsWith("{") ? JSON.parse(line).port : Number(/^listening (\d+)$/.exec(line)?.[1]);
        if (port) resolve({ pid: child.pid, port, stop: () => child.kill("SIGKILL") && running.delete(child) });
      });
    }
  });
}

try {
  await mints();
  await requests();
  await starts();
} finally {
  for (const child of running) child.kill("SIGKILL");
  upstream.stop();
  await project.remove();
}
