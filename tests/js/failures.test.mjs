/** Servers and session sources that misbehave: each gives its own typed error, nothing hangs, what was said is kept. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { DONE, events, goodChat, hang, reply, says, startBadServer } from "./support/bad-server.mjs";
import { openPage } from "./support/browser.mjs";
import { addHelpers } from "./support/in-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, stack } from "./support/setting.mjs";

let server;
let page;
let opened;

before(async () => {
  server = await startBadServer();
  opened = await openPage(browser);
  page = opened.page;
  await addHelpers(opened.context);
  await page.goto(stack.page);
});

after(() => server?.stop());

/** Asks the bad server; `more` are options of the client. */
const ask = (more = {}) =>
  page.evaluate(
    async ([url, more]) => {
      const behest = await clientOf(url, more);
      return failureOf(behest.ask("Hi!"));
    },
    [server.url, more],
  );

/** Streams from the bad server. */
const stream = (more = {}) =>
  page.evaluate(
    async ([url, more]) => {
      const behest = await clientOf(url, more);
      const stream = await behest.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
      let told;
      const read = async () => {
        let text = "";
        for await (const piece of stream.text()) {
          told ??= fetch(`${url}/seen`);
          text += piece;
        }
        return text;
      };
      const { succeededWith, reason } = await failureOf(read());
      // Or it would still be on its way in the next test.
      await told;
      return { text: succeededWith, reason, outcome: stream.outcome, content: stream.content };
    },
    [server.url, more],
  );

const ONCE = { maxRetries: 0 };

/** One call of a server that answers so gives this error. */
async function holds(answers, more, { reason, status }) {
  server.use(answers);
  const error = await ask({ ...ONCE, ...more });
  assert.ok(error.typed, JSON.stringify(error));
  assert.deepEqual([error.reason, error.status], [reason, status], error.message);
  assert.match(error.message, /\.$/, "a full sentence");
}

describe("the token function", () => {
  for (const [what, token, reason, status, more] of [
    ["answers nothing", reply(200, ""), "invalid_bundle", 200],
    ["answers with a web page", reply(200, "<!doctype html><title>Hello</title>"), "invalid_bundle", 200],
    ["answers with an empty object", reply(200, {}), "invalid_bundle", 200],
    ["answers without a lifetime", reply(200, { token: "t", sessionId: "s" }), "invalid_bundle", 200],
    ["answers with a lifetime in words", reply(200, { token: "t", ttl: "long", sessionId: "s" }), "invalid_bundle", 200],
    ["answers with a token that no header can carry", reply(200, { token: "a\nb", ttl: 900 }), "invalid_bundle", 200],
    ["does not exist", reply(404, { code: "NOT_FOUND", message: "Function was not found" }), "not_found", 404],
    ["says that the session has expired", reply(401, { error: { code: "token_expired" } }), "token_expired", 401],
    ["refuses the session without a reason", reply(401, "no"), "session_refused", 401],
    ["fails with a web page", reply(500, "<h1>Error</h1>"), "server_error", 500],
    ["breaks the connection", (response) => response.destroy(), "network"],
    ["never answers", hang, "timeout", undefined, { timeouts: { tokenMs: 300 } }],
  ]) {
    test(`${what}: ${reason}`, LIMIT, async () => {
      await holds({ token }, more, { reason, status });
      assert.equal(server.attempts("chat"), 0, "the gateway was not asked");
    });
  }
});

describe("the gateway", () => {
  for (const [what, chat, reason, status, more] of [
    ["answers nothing", reply(200, ""), "invalid_response", 200],
    ["answers with a web page", reply(200, "<!doctype html><title>Hello</title>"), "invalid_response", 200],
    ["reports an error with the status of a success", reply(200, { error: { message: "loading" } }), "server_error", 200],
    ["knows no such model", reply(400, { error: { code: "validation_error", message: "no such model" } }), "invalid_request", 400],
    ["says that the allowance is spent", reply(402, { error: { code: "quota_exceeded" } }), "quota_exceeded", 402],
    ["is asked too often", reply(429, { error: { code: "rate_limited" } }, { "retry-after": "1" }), "rate_limited", 429],
    ["fails", reply(503, "<h1>Down</h1>"), "server_error", 503],
    ["breaks the connection", (response) => response.destroy(), "network"],
    ["never answers", hang, "timeout", undefined, { timeouts: { firstByteMs: 300 } }],
  ]) {
    test(`${what}: ${reason}`, LIMIT, async () => {
      await holds({ chat }, more, { reason, status });
      assert.equal(server.attempts("chat"), 1);
    });
  }

  test("a passing failure is tried again, twice at most", LIMIT, async () => {
    server.use({ chat: (response, attempt) => (attempt < 3 ? reply(503, "") : goodChat)(response) });
    assert.equal((await ask()).succeededWith, "Hello.");
    assert.equal(server.attempts("chat"), 3);
    server.use({ chat: reply(503, "") });
    assert.equal((await ask()).reason, "server_error");
    assert.equal(server.attempts("chat"), 3);
  });

  test("a token it no longer accepts is replaced once", LIMIT, async () => {
    server.use({ chat: (response, attempt) => (attempt === 1 ? reply(401, "") : goodChat)(response) });
    assert.equal((await ask()).succeededWith, "Hello.");
    assert.deepEqual([server.attempts("token"), server.attempts("chat")], [2, 2]);
    server.use({ chat: reply(401, { error: { code: "invalid_token" } }) });
    const error = await ask();
    assert.deepEqual([error.reason, error.status], ["invalid_token", 401]);
    assert.deepEqual([server.attempts("token"), server.attempts("chat")], [2, 2]);
  });
});

describe("an answer on its way", () => {
  const GREETING = "Grüße, 世界 🌍";
  /** A browser drops what it has received but not yet handed over when the connection breaks: only then is it fair. */
  const cut = async (response, seen) => {
    await seen;
    response.destroy();
  };
  const bytes = (text) => [...Buffer.from(text)].map((byte) => Buffer.of(byte));

  for (const [what, chat, outcome, reason, more] of [
    ["ends with a reason and [DONE]", events([says(GREETING), says("", "stop"), DONE]), "complete"],
    ["ends with a reason only", events([says(GREETING), says("", "stop")]), "complete"],
    ["ends with [DONE] only", events([says(GREETING), DONE]), "complete"],
    ["comes byte by byte, with CRLF", events(bytes(`${says(GREETING)}${DONE}`.replaceAll("\n", "\r\n"))), "complete"],
    ["comes with comments and unknown fields", events([`: hello\nid: 7\nretry: 10\n${says(GREETING)}`, ": still here\n\n", DONE]), "complete"],
    ["is cut by the length limit", events([says(GREETING), says("", "length"), DONE]), "length"],
    ["is ended by a filter", events([says(GREETING), says("", "content_filter"), DONE]), "content_filter"],
    ["closes without an end marker", events([says(GREETING)]), "truncated", "truncated"],
    ["closes in the middle of an event", events([says(GREETING), 'data: {"choices":[{"de']), "truncated", "truncated"],
    ["breaks", events([says(GREETING)], cut), "disconnected", "disconnected"],
    ["goes silent", events([says(GREETING)], hang), "stalled", "stalled", { timeouts: { idleMs: 300 } }],
    ["reports an error", events([says(GREETING), 'data: {"error":{"message":"overloaded"}}\n\n']), "failed", "server_error"],
    ["is no JSON", events([says(GREETING), "data: oops\n\n"]), "failed", "invalid_response"],
  ]) {
    test(`${what}: ${reason ?? outcome}`, LIMIT, async () => {
      server.use({ chat });
      const end = await stream(more);
      assert.deepEqual([end.outcome, end.reason], [outcome, reason]);
      assert.equal(end.content, GREETING, "what was said is kept");
      if (!reason) assert.equal(end.text, GREETING);
      assert.equal(server.attempts("chat"), 1, "an answer that has begun is not asked for again");
    });
  }
});

describe("the session source", () => {
  for (const [what, source, reason, more] of [
    ["gives null", () => null, "signed_out"],
    ["gives undefined", () => undefined, "signed_out"],
    ["gives an empty text", () => "", "signed_out"],
    ["throws", () => { throw new Error("no storage"); }, "session_failed"],
    ["rejects with anything", () => Promise.reject("no storage"), "session_failed"],
    ["gives what is no text", () => ({ access_token: "x" }), "session_failed"],
    ["gives a publishable key", () => "sb_publishable_abc", "api_key_as_bearer"],
    ["never settles", () => new Promise(() => {}), "session_timeout", { timeouts: { sessionMs: 300 } }],
  ]) {
    test(`${what}: ${reason}`, LIMIT, async () => {
      server.use({});
      // A function cannot be handed to the page; its source can, before the page's policy applies to it.
      const name = `source${what.replaceAll(/\W/g, "")}`;
      await page.evaluate(`globalThis.${name} = ${source}`);
      const error = await page.evaluate(
        async ([url, name, more]) => {
          const getAccessToken = globalThis[name];
          const behest = await clientOf(url, { getAccessToken, ...more });
          return failureOf(behest.ask("Hi!"));
        },
        [server.url, name, more],
      );
      assert.ok(error.typed, JSON.stringify(error));
      assert.equal(error.reason, reason, error.message);
      assert.deepEqual([server.attempts("token"), server.attempts("chat")], [0, 0], "nothing was sent");
    });
  }

  test("a failure is not kept: the next call reads the session again", LIMIT, async () => {
    server.use({});
    const answers = await page.evaluate(async (url) => {
      let reads = 0;
      const getAccessToken = () => {
        reads += 1;
        return reads === 1 ? null : "a.user.session";
      };
      const behest = await clientOf(url, { getAccessToken });
      return [(await failureOf(behest.ask("Hi!"))).reason, await behest.ask("Hi!")];
    }, server.url);
    assert.deepEqual(answers, ["signed_out", "Hello."]);
  });
});

describe("the WebAssembly module", () => {
  for (const [what, response] of [
    ["is missing", { status: 404, body: "" }],
    ["is the start page of a single-page application", { status: 200, contentType: "text/html", body: "<!doctype html>" }],
    ["is damaged", { status: 200, contentType: "application/wasm", body: Buffer.from("\0asm\x01\0\0\0damaged", "latin1") }],
  ]) {
    test(`${what}: a typed error, and the next call tries again`, LIMIT, async () => {
      server.use({});
      const fresh = await openPage(browser);
      await addHelpers(fresh.context);
      let bad = true;
      await fresh.page.route("**/*.wasm", (route) => (bad ? route.fulfill(response) : route.continue()));
      await fresh.page.goto(stack.page);
      await fresh.page.evaluate(async (url) => {
        globalThis.client = await clientOf(url);
      }, server.url);
      const error = await fresh.page.evaluate(() => failureOf(client.ask("Hi!")));
      assert.ok(error.typed, JSON.stringify(error));
      assert.equal(error.reason, "wasm_load_failed");
      assert.match(error.message, /\.$/, "a full sentence");
      bad = false;
      assert.equal(await fresh.page.evaluate(() => client.ask("Hi!")), "Hello.");
      await fresh.context.close();
    });
  }
});

test("no rejection was left unhandled", LIMIT, () => {
  assert.deepEqual(opened.complaints.filter((text) => text.startsWith("uncaught")), []);
});
