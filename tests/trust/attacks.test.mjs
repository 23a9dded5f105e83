/** What an attacker, or a careless setting, would have to get past: credentials where none belong, and secrets where they could show. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";


import { createClient, lab, messages, setUp, urls } from "../js/support/in-node.mjs";


const KEYS = {
  "a Behest key": "behest_sk_live_0123456789abcdef",
  "a tenant's private key": "behest_pk_0123456789abcdef",
  "Supabase's secret key": "sb_secret_0123456789abcdef",
  "OpenAI's key": "sk-proj-0123456789abcdef",
};
const serviceRole = () => lab.accessToken("x", { role: "service_role", sub: undefined });

test("no key leaves as a session, as an option, or unexplained", async () => {
  for (const [what, key] of [...Object.entries(KEYS), ["the service_role token", serviceRole()]]) {
    const { world, behest } = setUp(undefined, { getAccessToken: () => key });
    const error = await behest.ask("Hi!").catch((error) => error);
    assert.equal(error.reason, key.startsWith("ey") ? "role_refused" : "api_key_as_bearer", what);
    assert.match(error.message, /\.$/, what);
    assert.ok(!inspect(error, { depth: null, showHidden: true }).includes(key), what);
    assert.deepEqual(world.requests, [], what);
    assert.throws(() => createClient({ ...urls, getAccessToken: () => null, apiKey: key }), (error) => error.reason === "invalid_config" && !error.message.includes(key), what);
  }
});

/** Everything that can be reached from a value, as text. */
function reachable(value, seen = new Set()) {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return String(value);
  if (seen.has(value)) return "";
  seen.add(value);
  const below = Reflect.ownKeys(value).map((key) => {
    const { value: held, get } = Reflect.getOwnPropertyDescriptor(value, key) ?? {};
    try {
      return `${String(key)}=${reachable(get ? get.call(value) : held, seen)}`;
    } catch {
      return "";
    }
  });
  return [...below, reachable(Object.getPrototypeOf(value), seen)].join("\n");
}

test("no property that a script can reach from the client, a stream, a trace or an error holds a token", async () => {
  const world = new lab.World();
  const [token, session] = ["gateway-token-0123456789", lab.accessToken("alice")];
  world.serve((request) => {
    if (lab.isMint(request)) return lab.bundle(token);
    return request.body.includes("fail") ? lab.json(403, { error: { message: request.headers.authorization } }) : lab.defaultReply(request, world);
  });
  const logged = [];
  const levels = ["debug", "info", "log", "warn", "error"];
  const usual = levels.map((level) => console[level]);
  for (const level of levels) console[level] = (...words) => logged.push(inspect(words, { depth: null, showHidden: true }));
  let found;
  try {
    const behest = createClient({ ...urls, fetch: world.fetch, getAccessToken: () => session });
    const stream = await behest.chat.completions.create({ messages, stream: true });
    for await (const _ of stream);
    const whole = await behest.chat.completions.create({ messages });
    const error = await behest.ask("fail").catch((error) => error);
    found = [behest, behest.token.peek(), stream, stream.trace, whole, whole.trace, error, behest.conversation()].map((value) => reachable(value)).concat(logged);
  } finally {
    levels.forEach((level, index) => (console[level] = usual[index]));
  }
  assert.equal(world.requests.at(-1).headers.authorization, `Bearer ${token}`, "the token was in use");
  for (const text of found) assert.ok(!text.includes(token) && !text.includes(session), text);
});

test("the token goes to the gateway's origin and below its path, and nowhere else", async () => {
  const sent = [];
  const world = new lab.World();
  const fetch = (request) => {
    sent.push([request.url, request.headers.get("authorization") ?? ""]);
    return world.fetch(request);
  };
  const behest = createClient({ ...urls, behestUrl: "https://gateway.example/base", fetch, getAccessToken: world.getAccessToken });
  await behest.warm();
  sent.length = 0;
  const elsewhere = [
    "https://gateway.example.evil.example/base/v1/models",
    "https://evil.example/base/v1/models",
    "https://gateway.example@evil.example/base/v1/models",
    "http://gateway.example/base/v1/models",
    "https://gateway.example:8443/base/v1/models",
    "https://gateway.example/elsewhere",
    "https://gateway.example/base/../elsewhere",
    "https://gateway.example/base/%2e%2e/elsewhere",
    "https://gateway.example/basement/v1/models",
  ];
  for (const url of elsewhere) await behest.fetch(url).catch(() => {});
  assert.deepEqual(sent.filter(([, bearer]) => bearer.includes("token-")), []);
  await behest.fetch("https://gateway.example/base/v1/models");
  assert.deepEqual(sent.at(-1), ["https://gateway.example/base/v1/models", "Bearer token-1"]);
});
