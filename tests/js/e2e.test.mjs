/** The packed npm package in a real browser, through the demo page, against real servers. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { ask, signIn, signOut, storedSession, usageRow } from "./support/demo-page.mjs";
import { growth } from "./support/growth.mjs";
import { addHelpers } from "./support/in-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, stack } from "./support/setting.mjs";

const TOKEN_FUNCTION = "/functions/v1/behest-token";
const CHAT = "/v1/chat/completions";

const uniqueUser = () => ({ email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() });

describe("a conversation on the demo page", () => {
  const user = uniqueUser();
  let opened;
  let session;
  /** What the token function has answered so far, the last one last. */
  const bundles = [];
  const newestBundle = () => bundles.at(-1);

  before(async () => {
    opened = await openPage(browser);
    await addHelpers(opened.context);
    // Read in the page: the browser's protocol does not always still have a body that a page has read as a stream.
    await opened.page.exposeFunction("keepBundle", (bundle) => void bundles.push(bundle));
    await opened.page.addInitScript((tokenFunction) => {
      const { fetch } = globalThis;
      globalThis.fetch = async (url, init) => {
        const response = await fetch(url, init);
        if (String(url).endsWith(tokenFunction)) await globalThis.keepBundle(await response.clone().json());
        return response;
      };
    }, TOKEN_FUNCTION);
    await signIn(opened.page, stack, user, { creating: true });
    session = await storedSession(opened.page);
  });
  after(() => opened.context.close());

  test("the answer streams in, ends complete, and is booked under the user's UUID and session id", LIMIT, async () => {
    const { page } = opened;
    const { result, grown } = await growth(stack, () => ask(page, "What is a token?"));
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

    const bundle = newestBundle();
    const row = await usageRow(page, bundle.sessionId, { requests: 1 });
    assert.equal(row.userId, session.user.id);
    assert.match(session.user.id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.ok(Number(row.tokens) > 0, row.tokens);
  });

  test("the second question reuses the token and keeps the session", LIMIT, async () => {
    const { page } = opened;
    const { result, grown } = await growth(stack, () => ask(page, "And how long does it live?"));
    assert.equal(result.outcome, "complete", result.error);
    assert.equal(grown("functions.behest-token"), 0);
    assert.equal(grown("mint"), 0);
    assert.equal(grown("chat"), 1);
    const bundle = newestBundle();
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

    const bundle = newestBundle();
    const [toFunction, ...moreMints] = await sent(TOKEN_FUNCTION);
    assert.equal(moreMints.length, 0);
    assert.equal(toFunction.authorization, `Bearer ${session.accessToken}`);
    assert.deepEqual(custom(toFunction), []);

    const toGateway = await sent(CHAT);
    assert.equal(toGateway.length, 2);
    for (const headers of toGateway) {
      assert.equal(headers.authorization, `Bearer ${bundle.token}`);
      assert.equal(headers["x-session-id"], bundle.sessionId);
      assert.deepEqual(custom(headers), ["x-session-id", "x-thread-id"]);
    }
  });

  test("the token is nowhere but in memory", LIMIT, async () => {
    const { page, requests } = opened;
    const bundle = newestBundle();
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
    const bundle = newestBundle();
    const { result, grown } = await growth(stack, async ({ reached }) => {
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
    const former = newestBundle();
    const { grown } = await growth(stack, async () => {
      await page.getByRole("button", { name: "New conversation" }).click();
      assert.equal(await page.locator("#messages > *").count(), 0);
      const answer = await ask(page, "How many messages are in this conversation?");
      assert.equal(answer.outcome, "complete", answer.error);
      assert.match(answer.text, /conversation of 1 message\b/, "the former conversation is not sent along");
    });
    assert.equal(grown("mint"), 1);
    const bundle = newestBundle();
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
    const former = newestBundle();
    const { grown } = await growth(stack, async () => {
      await signIn(page, stack, stack.demoUser);
      const answer = await ask(page, "Who am I?");
      assert.equal(answer.outcome, "complete", answer.error);
    });
    assert.equal(grown("mint"), 1);
    const bundle = newestBundle();
    assert.notEqual(bundle.token, former.token);
    const row = await usageRow(page, bundle.sessionId, { requests: 1 });
    const { user: next } = await storedSession(page);
    assert.equal(row.userId, next.id);
    assert.notEqual(next.id, user.id);
  });
});
