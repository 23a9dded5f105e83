/** What 10,000 streams leave behind that 100 did not: memory, listeners, timers, sockets. In Node, over real HTTP. */
import { getEventListeners, setMaxListeners } from "node:events";
import { createServer } from "node:http";
import { setTimeout as wait } from "node:timers/promises";

import { listen } from "../tests/js/support/loopback.mjs";
import { cut, MESSAGES, MODEL, streamOf } from "./lib/chat.mjs";
import { accessToken, tokenBundle } from "./lib/memory-server.mjs";
import { importPackage, progress, QUICK, report, withPackage } from "./lib/setting.mjs";

/** Until all of Node's and the package's code is compiled: that stays, and is no leak. */
const WARM_UP = 1000;
const FEW = 100;
const MANY = QUICK ? 2000 : 10_000;
const AT_ONCE = 20;
const EVENTS = 40;
const SETTLE_MS = 10_000;

const memories = rememberMemories();

await withPackage(async (installed) => {
  const { createClient } = await importPackage(installed);
  const server = await startServer();
  const client = createClient({
    tokenUrl: `${server.url}/functions/v1/behest-token`,
    behestUrl: server.url,
    getAccessToken: accessToken,
  });
  const { signal } = new AbortController();
  // So many streams of one signal are meant.
  setMaxListeners(2 * AT_ONCE, signal);
  const stand = async () => {
    await settled(server);
    return {
      wasm: memories().reduce((sum, memory) => sum + memory.buffer.byteLength, 0),
      heap: process.memoryUsage().heapUsed,
      listeners: getEventListeners(signal, "abort").length,
      timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length,
      sockets: await server.connections(),
    };
  };
  progress(`${WARM_UP} streams to warm up, then ${FEW}`);
  await streams(client, signal, WARM_UP);
  await streams(client, signal, FEW);
  const after = await stand();
  progress(`${MANY} streams more`);
  await streams(client, signal, MANY);
  const later = await stand();
  if (after.wasm === 0) throw new Error("no WebAssembly memory was seen: is the module loaded in another way now?");
  const peer = `after ${FEW} streams`;
  for (const what of Object.keys(after)) {
    const unit = what === "wasm" || what === "heap" ? "bytes" : "";
    report({ figure: `memory ${what}`, where: "node", unit, ours: later[what], peer, theirs: after[what] });
  }
  await server.stop();
});

/** Read to the end, left early, aborted by the stream's own signal, and forgotten, in turn; all share a second signal. */
async function streams(client, shared, count) {
  const kinds = [
    async (stream) => {
      for await (const _ of stream.text());
    },
    async (stream) => {
      for await (const _ of stream) break;
    },
    async (stream) => {
      await stream.next();
      stream.abort();
    },
    async () => {},
  ];
  for (let done = 0; done < count; done += AT_ONCE) {
    await Promise.all(
      Array.from({ length: AT_ONCE }, async (_, index) => {
        const body = { model: MODEL, messages: MESSAGES, stream: true };
        const stream = await client.chat.completions.create(body, { signal: shared });
        await kinds[index % kinds.length](stream);
      }),
    );
    // What was forgotten is given back by the collector alone, and it has no reason to run in a test this short.
    globalThis.gc();
    await wait(0);
  }
}

/** Gives the collector, its finalizers and Node's own pool of connections (4 s) the time they need. */
async function settled(server) {
  const deadline = Date.now() + SETTLE_MS;
  for (let empty = 0; empty < 5 && Date.now() < deadline; ) {
    globalThis.gc();
    await wait(20);
    empty = (await server.connections()) === 0 ? empty + 1 : 0;
  }
}

/** Token function and gateway. A connection serves one request, so that one that stays was kept by somebody. */
async function startServer() {
  const chunks = cut(streamOf(EVENTS).events, 512);
  const server = createServer({ keepAlive: false }, async (request, response) => {
    response.setHeader("connection", "close");
    if (request.url.startsWith("/functions/")) {
      response.setHeader("content-type", "application/json").end(JSON.stringify(tokenBundle()));
      return;
    }
    response.setHeader("content-type", "text/event-stream");
    for (const chunk of chunks) {
      response.write(chunk);
      await wait(0);
    }
    response.end();
  });
  return {
    ...(await listen(server)),
    connections: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
  };
}

/** Every WebAssembly memory that an instance made from now on exports. */
function rememberMemories() {
  const seen = new Set();
  const look = ({ exports }) => {
    for (const value of Object.values(exports)) if (value instanceof WebAssembly.Memory) seen.add(value);
  };
  const { instantiate, instantiateStreaming, Instance } = WebAssembly;
  const looking =
    (start) =>
    async (...args) => {
      const started = await start(...args);
      look(started.instance ?? started);
      return started;
    };
  WebAssembly.instantiate = looking(instantiate);
  WebAssembly.instantiateStreaming = looking(instantiateStreaming);
  WebAssembly.Instance = class extends Instance {
    constructor(...args) {
      super(...args);
      look(this);
    }
  };
  return () => [...seen];
}
