/** The packed npm package in a real browser, called as an application calls it. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { signIn, storedSession } from "./support/demo-page.mjs";
import { growth } from "./support/growth.mjs";
import { addHelpers } from "./support/in-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, installed, stack } from "./support/setting.mjs";
import { startStack } from "./support/stack.mjs";

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
    const { result, grown } = await growth(stack, () =>
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
    const asked = () => growth(stack, () => timed.page.evaluate(() => behest.ask("Hi!")));
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
    const { grown } = await growth(stack, async ({ reached }) => {
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
      const { result: error, grown } = await growth(stack, () =>
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
      const { result: error, grown } = await growth(stack, () =>
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
