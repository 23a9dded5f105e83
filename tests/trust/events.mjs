/**
 * What a browser does to a page while it asks, as data: how each event is played, and what the caller must be told. `stage.mjs`
 * has the servers, `events.test.mjs` the browsers. Each client may ask once more (`RETRIES`).
 */
import { setTimeout as wait } from "node:timers/promises";

import { HALF } from "./table.mjs";

/** The limit where one is what counts, and longer than it. */
export const QUICK_MS = 3_000;
const LONGER_MS = 4_500;
const HOURS = 3 * 3_600_000;

const fails = (reason, mints, prompts) => ({ reason, mints, prompts });
const works = (mints = 1, prompts = 1) => ({ mints, prompts });
const breaks = (reason, { mints = 1, prompts = 1, ask = reason, kept = HALF } = {}) => ({
  ask: fails(ask, mints, prompts),
  stream: { outcome: reason, reason, kept, mints, prompts },
});

/** Strikes before the call. */
const before = (strike, mend) => async (on) => {
  await strike(on);
  on.scene.go.open();
  await on.begin();
  const told = await on.told();
  await mend?.(on);
  return told;
};
/** Strikes when the prompt is at the gateway, and the first text of a stream with the caller. */
const midway = (strike) => async (on) => {
  await on.begin();
  await on.halfway();
  await strike(on);
  on.scene.go.open();
  return on.told();
};

const offline = async ({ host }) => {
  await host.offline(true);
  await host.run("actor.network(false)");
};
const online = async ({ host }) => {
  await host.offline(false);
  await host.run("actor.network(true)");
};
const clock = (ms) => ({ host }) => host.run(`actor.clock(${ms})`);
/** Frozen while `work` happens. */
const frozen = (work) => async (on) => {
  await on.host.frozen(true);
  await work(on);
  await on.host.frozen(false);
};
const goOn = async ({ scene }) => {
  scene.go.open();
  await scene.closed.opened;
};
const cut = async ({ scene }) => {
  scene.cut();
  await scene.closed.opened;
};
const long = () => wait(LONGER_MS);

const OF_THE_PAGE = [
  { name: "offline before the first call", play: before(offline, online), want: fails("wasm_load_failed", 0, 0) },
  {
    name: "offline, with the module at hand",
    play: before(async (on) => {
      await on.host.run("actor.load()");
      await offline(on);
    }, online),
    want: fails("network", 0, 0),
  },
  {
    name: "offline, with a token at hand",
    play: before(async (on) => {
      await on.host.run("actor.warm()");
      await offline(on);
    }, online),
    want: fails("network", 1, 0),
  },
  {
    // Whether the prompt arrived is not known: it is not sent again, though the device is soon back.
    name: "offline while the answer is awaited, the connection breaks, and soon online again",
    play: midway(async (on) => {
      await offline(on);
      await cut(on);
      await online(on);
    }),
    want: breaks("disconnected", { ask: "network" }),
  },
  {
    name: "offline while the answer is awaited, for longer than the limit",
    quick: ["idleMs", "firstByteMs"],
    async play(on) {
      await on.begin();
      await on.halfway();
      await offline(on);
      const told = await on.told();
      await online(on);
      return told;
    },
    want: breaks("stalled", { ask: "timeout" }),
  },
  {
    name: "offline while the token is awaited, the connection breaks, and soon online again",
    scene: ({ mint }) => mint.shut(),
    async play(on) {
      await on.begin();
      await on.scene.asked.opened;
      await offline(on);
      await cut(on);
      await online(on);
      on.scene.mint.open();
      on.scene.go.open();
      return on.told();
    },
    want: works(2),
  },
  { name: "hidden before the call", needs: "hidden", play: before(({ host }) => host.hidden(true)), want: works() },
  { name: "hidden during the answer", needs: "hidden", play: midway(({ host }) => host.hidden(true)), want: works() },
  { name: "frozen during the answer", needs: "hidden", play: midway(frozen(goOn)), want: works() },
  {
    // What came meanwhile counts, not how long it took to be looked at.
    name: "frozen for longer than the limit; the answer came meanwhile",
    needs: "hidden",
    quick: ["idleMs", "firstByteMs"],
    play: midway(frozen(async (on) => {
      await goOn(on);
      await long();
    })),
    want: works(),
  },
  {
    name: "frozen for longer than the limit; nothing came",
    needs: "hidden",
    quick: ["idleMs", "firstByteMs"],
    async play(on) {
      await on.begin();
      await on.halfway();
      await frozen(long)(on);
      const told = await on.told();
      on.scene.go.open();
      return told;
    },
    want: breaks("stalled", { ask: "timeout" }),
  },
  {
    name: "frozen, and the connection breaks",
    needs: "hidden",
    play: midway(frozen(cut)),
    want: breaks("disconnected", { ask: "network" }),
  },
  {
    name: "frozen for longer than the limit while the token is awaited; it came meanwhile",
    needs: "hidden",
    quick: ["tokenMs"],
    scene: ({ mint }) => mint.shut(),
    async play(on) {
      // A module that is on its way to a frozen page may be given up by the browser.
      await on.host.run("actor.load()");
      await on.begin();
      await on.scene.asked.opened;
      await frozen(async ({ scene }) => {
        scene.mint.open();
        await scene.closed.opened;
        await long();
      })(on);
      on.scene.go.open();
      return on.told();
    },
    want: works(),
  },
  {
    name: "the clock set forward, with a token at hand",
    play: before(async (on) => {
      await on.host.run("actor.warm()");
      await clock(HOURS)(on);
    }),
    want: works(2),
  },
  {
    name: "the clock set back, with a token at hand",
    play: before(async (on) => {
      await on.host.run("actor.warm()");
      await clock(-HOURS)(on);
    }),
    want: works(1),
  },
  {
    name: "the clock set back while the token is awaited",
    scene: ({ mint }) => mint.shut(),
    async play(on) {
      await on.begin();
      await on.scene.asked.opened;
      await clock(-HOURS)(on);
      on.scene.mint.open();
      on.scene.go.open();
      return on.told();
    },
    want: works(),
  },
  {
    // It may have taken so long: the token is too old for use, and another one is asked for.
    name: "the clock set forward while the token is awaited",
    scene: ({ mint }) => mint.shut(),
    async play(on) {
      await on.begin();
      await on.scene.asked.opened;
      await clock(HOURS)(on);
      on.scene.mint.open();
      on.scene.go.open();
      return on.told();
    },
    want: works(2),
  },
  { name: "the clock set forward during the answer", play: midway(clock(HOURS)), want: works(), again: { mints: 1 } },
  { name: "the clock set back during the answer", play: midway(clock(-HOURS)), want: works() },
];

/** A worker's way with a request, as its script has it, and what comes of it at the token function and at the gateway. */
const WORKERS = [
  { name: "takes no part", script: "undefined", function: works(), gateway: works() },
  { name: "passes all on", script: "fetch(request)", function: works(), gateway: works() },
  { name: "copies the answer as it comes", script: "fetch(request).then((got) => new Response(got.body.pipeThrough(new TransformStream()), got))", function: works(), gateway: works() },
  { name: "waits for the whole answer", script: "fetch(request).then(async (got) => new Response(await got.arrayBuffer(), got))", function: works(), gateway: works() },
  { name: "keeps answers, and gives them again", script: "kept.get(request.url)?.clone() ?? fetch(request).then((got) => (kept.set(request.url, got.clone()), got))", function: works(), gateway: works(), again: "any" },
  { name: "has a page for everything", script: 'new Response("<!doctype html>You are offline", { headers: { "content-type": "text/html" } })', function: fails("invalid_bundle", 0, 0), gateway: fails("invalid_response", 1, 0) },
  { name: "fails", script: 'Promise.reject(new Error("a defect of the worker"))', function: fails("network", 0, 0), gateway: fails("network", 1, 0) },
  { name: "gives an error", script: "Response.error()", function: fails("network", 0, 0), gateway: fails("network", 1, 0) },
  { name: "gives what is no response", script: '"a defect of the worker"', function: fails("network", 0, 0), gateway: fails("network", 1, 0) },
  { name: "says nothing", quick: ["tokenMs", "firstByteMs"], script: "new Promise(() => {})", function: fails("timeout", 0, 0), gateway: fails("timeout", 1, 0) },
  { name: "loses the headers", script: "request.text().then((body) => fetch(request.url, { method: request.method, body: body || undefined }))", function: fails("session_refused", 1, 0), gateway: fails("invalid_token", 2, 2) },
  { name: "breaks off", script: "fetch(request).then((got) => new Response(half(got.body), got))", function: fails("network", 2, 0), gateway: breaks("disconnected"), play: midway(() => {}) },
];

const aside = (hop) => (hop === "function" ? "function" : "v1/");
/** Its script; it stands aside for all but one hop. */
export const workerScript = ({ script, hop }) => `
  const kept = new Map();
  /** The first piece, and then an error. */
  const half = (body) => {
    const reader = body.getReader();
    let pulled = 0;
    return new ReadableStream({ async pull(out) {
      const { value } = await reader.read();
      if (pulled++) out.error(new Error("a defect of the worker"));
      else out.enqueue(value);
    } }, { highWaterMark: 0 });
  };
  addEventListener("install", () => skipWaiting());
  addEventListener("activate", (event) => event.waitUntil(clients.claim()));
  addEventListener("fetch", (event) => {
    const { request } = event;
    if (!new URL(request.url).pathname.includes("/${aside(hop)}")) return;
    const answer = ${script};
    if (answer !== undefined) event.respondWith(answer);
  });
`;

const withWorker = WORKERS.flatMap(({ name, script, ...more }) =>
  ["function", "gateway"].map((hop) => ({
    ...more,
    name: `a service worker ${name}, at the ${hop === "function" ? "token function" : "gateway"}`,
    worker: { script, hop },
    play: (hop === "gateway" && more.play) || before(() => {}),
    want: more[hop],
    // One that does harm does it again.
    again: more.again ?? (more[hop].mints === 1 && more[hop].prompts === 1 ? undefined : "any"),
  })),
);
const leaves = {
  name: "the service worker is unregistered during the answer",
  worker: { script: "fetch(request)", hop: "gateway" },
  play: midway(({ host }) => host.run("actor.release()")),
  want: works(),
};

const aborts = {
  name: "the caller aborts behind a service worker; of a stream, the gateway hears",
  worker: { script: "fetch(request)", hop: "gateway" },
  async play(on) {
    await on.begin();
    await on.halfway();
    await on.host.run("actor.abort()");
    // Before the head has come, browsers do not tell a worker.
    if (on.kind === "stream") await on.scene.closed.opened;
    on.scene.go.open();
    return on.told();
  },
  want: { ask: fails("aborted", 1, 1), stream: { outcome: "aborted", kept: HALF, mints: 1, prompts: 1 } },
};

export const EVENTS = [...OF_THE_PAGE, ...withWorker, leaves, aborts];

/** Every event, for each kind of call, as far as a browser can play it. */
export const scenes = (abilities) =>
  EVENTS.filter(({ needs }) => !needs || abilities.includes(needs)).flatMap((event, index) =>
    ["ask", "stream"].map((kind) => ({ ...event, id: `${index}-${kind}`, kind, want: event.want[kind] ?? event.want })),
  );
