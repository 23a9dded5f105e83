/** The packed npm package in a real browser, through the demo page, against real servers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { launch, openPage } from "./support/browser.mjs";
import { ask, signIn, signOut, storedSession, usageRow } from "./support/demo-page.mjs";
import { addHelpers } from "./support/in-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";

const TOKEN_FUNCTION = "/functions/v1/behest-token";
const CHAT = "/v1/chat/completions";

let installed;
let stack;
let browser;

before(async () => {
  installed = await installPackage();
  stack = await startStack(installed);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  await installed?.remove();
});

const uniqueUser = () => ({ email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() });

/** How much each counter grows while `work` runs; `reached` waits until one has grown by so much. */
async function growth(work) {
  const before = await stack.counters();
  const grown = async () => {
    const now = await stack.counters();
    return (name) => now(name) - before(name);
  };
  const reached = async (name, count) => {
    const deadline = Date.now() + 10_000;
    while ((await grown())(name) < count) {
      assert.ok(Date.now() < deadline, `${name} did not grow by ${count} in 10 s`);
      await setTimeout(20);
    }
  };
  const result = await work({ reached });
  return { result, grown: await grown() };
}

describe("a conversation on the demo page", () => {
  const user = uniqueUser();
  let opened;
  let session;
  let bundle;

  before(async () => {
    opened = await openPage(browser);
    await addHelpers(opened.context);
    opened.page.on("response", async (response) => {
      const isBundle = response.url().endsWith(TOKEN_FUNCTION) && response.request().method() === "POST";
      if (isBundle) bundle = await response.json();
    });
    await signIn(opened.page, stack, user, { creating: true });
    session = await storedSession(opened.page);
  });
  after(() => opened.context.close());

  test("the answer streams in, ends complete, and is booked under the user's UUID and session id", LIMIT, async () => {
    const { page } = opened;
    const { result, grown } = await growth(() => ask(page, "What is a token?"));
    assert.equal(result.outcome, "complete", result.error);
    assert.ok(result.steps.length > 3, `seen in ${result.steps.length} steps`);
    for (const [index, step] of result.steps.entries()) {
      const earlier = result.steps[index - 1]?.text ?? "";
      assert.ok(step.text.startsWith(earlier), "text that was shown stays");
    }
    assert.equal(result.steps.at(-1).text, result.text);
    assert.equal(grown("functions.behest-token"), 1);
    assert.equal(grown("mint"), 1);
    assert.equal(grown("chat"), 1);

    const row = await usageRow(page, bundle.sessionId, { requests: 1 });
    assert.equal(row.userId, session.user.id);
    assert.match(session.user.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.ok(Number(row.tokens) > 0, row.tokens);
  });

  test("the second question reuses the token and keeps the session", LIMIT, async () => {
    const { page } = opened;
    const { result, grown } = await growth(() => ask(page, "And how long does it live?"));
    assert.equal(result.outcome, "complete", result.error);
    assert.equal(grown("functions.behest-token"), 0);
    assert.equal(grown("mint"), 0);
    assert.equal(grown("chat"), 1);
    await usageRow(page, bundle.sessionId, { requests: 2 });
    assert.equal(await page.locator("#count-session-reads").innerText(), "1");
    assert.equal(await page.locator("#count-token-requests").innerText(), "1");
    assert.equal(await page.locator("#token-session").innerText(), bundle.sessionId);
    assert.match(await page.locator("#token-left").innerText(), /^\d+:\d\d$/);
  });

  test("each server gets exactly the headers that are documented", LIMIT, async () => {
    const sent = async (path) => {
      const found = opened.requests.filter((request) => request.method() === "POST" && request.url().endsWith(path));
      return Promise.all(found.map((request) => request.allHeaders()));
    };
    const custom = (headers) => Object.keys(headers).filter((name) => /^(x-|apikey|prefer)/.test(name));

    const [toFunction, ...moreMints] = await sent(TOKEN_FUNCTION);
    assert.equal(moreMints.length, 0);
    assert.equal(toFunction.authorization, `Bearer ${session.accessToken}`);
    assert.deepEqual(custom(toFunction), []);

    const toGateway = await sent(CHAT);
    assert.equal(toGateway.length, 2);
    for (const headers of toGateway) {
      assert.equal(headers.authorization, `Bearer ${bundle.token}`);
      assert.equal(headers["x-session-id"], bundle.sessionId);
      assert.deepEqual(custom(headers), ["x-session-id"]);
    }
  });

  test("the token is nowhere but in memory", LIMIT, async () => {
    const { page, requests } = opened;
    const kept = await page.evaluate(async () => ({
      local: JSON.stringify({ ...localStorage }),
      session: JSON.stringify({ ...sessionStorage }),
      sessionKeys: Object.keys(sessionStorage),
      cookies: document.cookie,
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      history: JSON.stringify(history.state),
      document: document.documentElement.outerHTML,
    }));
    assert.ok(bundle.token.length > 100);
    assert.ok(!JSON.stringify(kept).includes(bundle.token));
    assert.equal(kept.local, "{}");
    assert.deepEqual(kept.sessionKeys, ["supabase-session"]);
    assert.equal(kept.cookies, "");
    assert.deepEqual([...kept.databases, ...kept.caches], []);
    assert.ok(!kept.document.includes(session.accessToken) && !kept.document.includes(session.refreshToken));
    for (const request of requests) {
      assert.ok(!request.url().includes(bundle.token) && !request.url().includes(session.accessToken), request.url());
    }
  });

  test("Stop ends the answer at once, keeps its text, and the gateway books it as aborted", LIMIT, async () => {
    const { page } = opened;
    const { result, grown } = await growth(async ({ reached }) => {
      const stopped = await ask(page, "Tell me everything about patience.", { stopAtOnce: true });
      await reached("chat.aborted", 1);
      await usageRow(page, bundle.sessionId, { requests: 3 });
      return stopped;
    });
    assert.equal(result.outcome, "aborted");
    assert.equal(result.error, null);
    assert.ok(result.text.length > 0);
    assert.equal(grown("chat.aborted"), 1);
    const whole = await ask(page, "Tell me everything about patience.");
    assert.ok(whole.text.length > result.text.length, "the stopped answer was shorter than the whole one");
  });

  test("a new conversation has a token and a usage row of its own", LIMIT, async () => {
    const { page } = opened;
    const former = bundle;
    const { grown } = await growth(async () => {
      await page.getByRole("button", { name: "New conversation" }).click();
      assert.equal(await page.locator("#messages > *").count(), 0);
      const answer = await ask(page, "How many messages are in this conversation?");
      assert.equal(answer.outcome, "complete", answer.error);
      assert.match(answer.text, /conversation of 1 message\b/, "the former conversation is not sent along");
    });
    assert.equal(grown("mint"), 1);
    assert.notEqual(bundle.sessionId, former.sessionId);
    await usageRow(page, bundle.sessionId, { requests: 1 });
    await usageRow(page, former.sessionId, { requests: 4 });
    assert.equal(await page.locator("#usage tfoot td").first().innerText(), "5");
    const sent = opened.requests.filter((request) => request.url().endsWith(CHAT)).at(-1);
    assert.equal((await sent.allHeaders())["x-session-id"], bundle.sessionId);
  });

  test("nothing was reported on the console, nothing was thrown", LIMIT, () => {
    assert.deepEqual(opened.complaints, []);
  });

  test("after sign-out a call fails as signed_out, and nothing is sent", LIMIT, async () => {
    const { page, requests } = opened;
    await signOut(page);
    assert.equal(await page.locator("#messages > *").count(), 0, "the conversation is gone");
    const sent = requests.length;
    const error = await page.evaluate(() => failureOf(behest.ask("Hi!")));
    assert.equal(error.reason, "signed_out", JSON.stringify(error));
    assert.equal(error.action, "sign_in");
    assert.ok(error.typed);
    // The sign-out itself is a request of the page's own, which the client did not send.
    const newcomers = requests.slice(sent).filter((request) => !request.url().endsWith("/auth/v1/logout?scope=local"));
    assert.deepEqual(newcomers.map((request) => request.url()), []);
    assert.equal(await page.evaluate(() => globalThis.behest.token.peek()), null);
  });

  test("the next user gets a token of their own", LIMIT, async () => {
    const { page } = opened;
    const former = bundle;
    const { grown } = await growth(async () => {
      await signIn(page, stack, stack.demoUser);
      const answer = await ask(page, "Who am I?");
      assert.equal(answer.outcome, "complete", answer.error);
    });
    assert.equal(grown("mint"), 1);
    assert.notEqual(bundle.token, former.token);
    const row = await usageRow(page, bundle.sessionId, { requests: 1 });
    const { user: next } = await storedSession(page);
    assert.equal(row.userId, next.id);
    assert.notEqual(next.id, user.id);
  });
});

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const swapped = (signature) => signature.replace(/^(.{4})(.{4})/, "$2$1");
const ofAnother = (claims) => encoded({ ...JSON.parse(Buffer.from(claims, "base64url")), sub: crypto.randomUUID() });

describe("the client in a page", () => {
  let opened;
  let page;

  before(async () => {
    opened = await openPage(browser);
    page = opened.page;
    await addHelpers(opened.context);
    await signIn(page, stack, stack.demoUser);
  });
  after(() => opened.context.close());

  test("100 calls at once with a cold cache read the session once and mint once", LIMIT, async () => {
    const { result, grown } = await growth(() =>
      page.evaluate(async () => {
        const { behest, seen } = await freshClient();
        const questions = Array.from({ length: 100 }, (_, index) => `Question ${index}`);
        const answers = await Promise.all(questions.map((question) => behest.ask(question)));
        return { answers, ...seen };
      }),
    );
    assert.equal(result.answers.length, 100);
    for (const answer of result.answers) assert.ok(typeof answer === "string" && answer.length > 0);
    assert.equal(result.sessionReads, 1);
    assert.equal(grown("functions.behest-token"), 1);
    assert.equal(grown("mint"), 1);
    assert.equal(grown("chat"), 100);
  });

  test("a token is kept while more than 60 s are left, and replaced otherwise", LIMIT, async () => {
    const timed = await openPage(browser);
    await addHelpers(timed.context);
    await timed.page.clock.install();
    await signIn(timed.page, stack, stack.demoUser);
    const asked = () => growth(() => timed.page.evaluate(() => behest.ask("Hi!")));
    assert.equal((await asked()).grown("mint"), 1);
    const { ttlMs } = await timed.page.evaluate(() => behest.token.peek());

    // Far from its end it is simply used; the time the test itself takes does not matter.
    await timed.page.clock.fastForward(ttlMs / 2);
    assert.equal((await asked()).grown("mint"), 0);

    await timed.page.clock.fastForward(ttlMs / 2 - 50_000);
    const left = await timed.page.evaluate(() => behest.token.peek()?.remainingMs ?? 0);
    assert.ok(left < 60_000, `${left} ms left`);
    assert.equal((await asked()).grown("mint"), 1);
    await timed.context.close();
  });

  test("chat.completions.create answers as OpenAI does, whole and in chunks", LIMIT, async () => {
    const { whole, chunks, stream } = await page.evaluate(async () => {
      const { behest } = await freshClient();
      const messages = [{ role: "user", content: "What is a token?" }];
      const whole = await behest.chat.completions.create({ messages });
      const chunks = [];
      const stream = await behest.chat.completions.create({
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      for await (const chunk of stream) chunks.push(chunk);
      const { outcome, content, usage, sessionId, traceId } = stream;
      return { whole, chunks, stream: { outcome, content, usage, sessionId, traceId } };
    });
    assert.equal(whole.object, "chat.completion");
    assert.equal(whole.choices[0].message.role, "assistant");
    assert.equal(whole.choices[0].finish_reason, "stop");
    assert.ok(whole.usage.total_tokens > 0);

    const deltas = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? "");
    assert.equal(deltas.join(""), whole.choices[0].message.content);
    assert.equal(stream.content, whole.choices[0].message.content);
    assert.equal(stream.outcome, "complete");
    assert.equal(stream.usage.total_tokens, whole.usage.total_tokens);
    assert.ok(chunks.every((chunk) => chunk.object === "chat.completion.chunk"));
    assert.ok(stream.sessionId && stream.traceId);
  });

  test("leaving the loop, and a signal, both end the request at the server", LIMIT, async () => {
    const { grown } = await growth(async ({ reached }) => {
      const outcomes = await page.evaluate(async () => {
        const { behest } = await freshClient();
        const request = { messages: [{ role: "user", content: "Tell me everything about patience." }], stream: true };
        const left = await behest.chat.completions.create(request);
        for await (const text of left.text()) if (text) break;
        const controller = new AbortController();
        const stopped = await behest.chat.completions.create(request, { signal: controller.signal });
        // Any value is a legal reason.
        for await (const text of stopped.text()) controller.abort(`seen ${text}`);
        const early = await failureOf(behest.ask("Hi!", { signal: AbortSignal.abort("before it began") }));
        return { left: left.outcome, stopped: stopped.outcome, kept: stopped.content.length, early: early.reason };
      });
      assert.deepEqual({ ...outcomes, kept: outcomes.kept > 0 }, { left: "aborted", stopped: "aborted", kept: true, early: "aborted" });
      await reached("chat.aborted", 2);
    });
    assert.equal(grown("chat"), 2);
  });

  test("nothing was reported on the console, nothing was thrown", LIMIT, () => {
    assert.deepEqual(opened.complaints, []);
  });

  for (const [what, reason, forge] of [
    ["a forged signature", "invalid_signature", ([head, claims, signature]) => [head, claims, swapped(signature)]],
    ["someone else's claims", "invalid_signature", ([head, claims, signature]) => [head, ofAnother(claims), signature]],
    ["no algorithm", "unsupported_algorithm", ([, claims]) => [encoded({ alg: "none", typ: "JWT" }), claims, ""]],
  ]) {
    test(`a session with ${what} is refused with its own reason`, LIMIT, async () => {
      const accessToken = forge((await storedSession(page)).accessToken.split(".")).join(".");
      const { result: error, grown } = await growth(() =>
        page.evaluate(async (accessToken) => {
          const { behest } = await freshClient({ getAccessToken: async () => accessToken });
          return failureOf(behest.ask("Hi!"));
        }, accessToken),
      );
      assert.ok(error.typed, JSON.stringify(error));
      assert.equal(error.reason, reason);
      assert.equal(error.status, 401);
      assert.equal(error.action, "sign_in");
      assert.match(error.message, /401/);
      assert.ok(!error.message.includes(accessToken.split(".")[1]));
      assert.equal(grown("mint"), 0);
    });
  }
});

describe("an origin that is not allowed", () => {
  let other;
  let opened;

  before(async () => {
    other = await startStack(installed);
    opened = await openPage(browser);
    await addHelpers(opened.context);
    await signIn(opened.page, other, other.demoUser);
  });
  after(async () => {
    await opened?.context.close();
    await other?.stop();
  });

  for (const [server, option, counter] of [
    ["token function", "supabaseUrl", "functions.behest-token"],
    ["gateway", "behestUrl", "chat"],
  ]) {
    test(`is refused by the ${server}, which the client reports as a network error that names CORS`, LIMIT, async () => {
      const url = option === "supabaseUrl" ? stack.supabase : stack.gateway;
      const { result: error, grown } = await growth(() =>
        opened.page.evaluate(
          async (options) => {
            const { behest } = await freshClient(options);
            return failureOf(behest.ask("Hi!"));
          },
          { [option]: url },
        ),
      );
      assert.ok(error.typed, JSON.stringify(error));
      assert.equal(error.reason, "network");
      assert.equal(error.status, undefined, "a browser tells no status here");
      assert.match(error.hint, /CORS/);
      assert.ok(error.message.includes(new URL(url).host), error.message);
      assert.equal(grown(counter), 0, "nothing was done for it");
      assert.ok(opened.complaints.some((text) => text.includes("CORS policy")), "it was the browser that refused");
    });
  }
});
