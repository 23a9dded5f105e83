/** The real supabase-js as the session source, in a browser, end to end. */
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { growth } from "./support/growth.mjs";
import { addHelpers } from "./support/in-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, stack } from "./support/setting.mjs";
import { supabaseModule } from "./support/supabase-js.mjs";

let opened;
let page;

before(async () => {
  opened = await openPage(browser);
  page = opened.page;
  await addHelpers(opened.context);
  const supabase = await supabaseModule();
  await page.route("**/supabase-js.js", (route) => route.fulfill({ contentType: "text/javascript", body: supabase }));
  await page.goto(stack.page);
  await page.evaluate(async () => {
    const [{ createClient }, settings] = await Promise.all([
      import("/supabase-js.js"),
      fetch("/config.json").then((reply) => reply.json()),
    ]);
    const { createClient: createBehest } = await import("behest-client");
    globalThis.supabase = createClient(settings.supabaseUrl, settings.publishableKey);
    const { behestUrl, functionName } = settings;
    globalThis.client = createBehest({ supabase, behestUrl, functionName });
  });
});

const signIn = (credentials) =>
  page.evaluate(async (credentials) => {
    const { data, error } = await supabase.auth.signInWithPassword(credentials);
    if (error) throw error;
    return data.user.id;
  }, credentials);

async function mintsDuring(work) {
  const { grown } = await growth(stack, work);
  return grown("mint");
}

test("nobody is signed in: the call fails before anything is sent", LIMIT, async () => {
  const sent = opened.requests.length;
  const error = await page.evaluate(() => failureOf(client.ask("Hi!")));
  assert.equal(error.reason, "signed_out", JSON.stringify(error));
  const servers = opened.requests.slice(sent).filter((request) => !request.url().startsWith(stack.page));
  assert.deepEqual(servers.map((request) => request.url()), []);
});

test("signed in: asked, streamed, booked under the user", LIMIT, async () => {
  const mints = await mintsDuring(async () => {
    const userId = await signIn(stack.demoUser);
    const { answer, text, outcome, usage } = await page.evaluate(async () => {
      const answer = await client.ask("Hi!");
      const stream = await client.chat.completions.create({ messages: [{ role: "user", content: "Hi!" }], stream: true });
      let text = "";
      for await (const piece of stream.text()) text += piece;
      return { answer, text, outcome: stream.outcome, usage: await client.usage.get() };
    });
    assert.equal(text, answer);
    assert.equal(outcome, "complete");
    assert.equal(usage.user_id, userId);
    assert.deepEqual(usage.sessions.map(({ requests }) => requests), [2]);
  });
  assert.equal(mints, 1);
});

test("a refreshed session of the same user keeps the token", LIMIT, async () => {
  const mints = await mintsDuring(() =>
    page.evaluate(async () => {
      const { error } = await supabase.auth.refreshSession();
      if (error) throw error;
      await client.ask("Hi again!");
    }),
  );
  assert.equal(mints, 0);
});

test("another user's sign-in drops the token, without a word from the application", LIMIT, async () => {
  const mints = await mintsDuring(async () => {
    const { first, second } = await page.evaluate(async () => {
      const first = (await supabase.auth.getUser()).data.user.id;
      const { data, error } = await supabase.auth.signUp({
        email: `${crypto.randomUUID()}@example.com`,
        password: crypto.randomUUID(),
      });
      if (error) throw error;
      await client.ask("Who am I?");
      return { first, second: { id: data.user.id, booked: (await client.usage.get()).user_id } };
    });
    assert.notEqual(second.id, first);
    assert.equal(second.booked, second.id);
  });
  assert.equal(mints, 1);
});

test("signing out ends the running stream and forgets the token", LIMIT, async () => {
  const { ended, outcome, content } = await page.evaluate(async () => {
    const messages = [{ role: "user", content: "Tell me everything about patience." }];
    const stream = await client.chat.completions.create({ messages, stream: true });
    const read = async () => {
      for await (const piece of stream.text()) if (piece) await supabase.auth.signOut({ scope: "local" });
    };
    return { ended: await failureOf(read()), outcome: stream.outcome, content: stream.content };
  });
  assert.equal(ended.reason, "user_changed", JSON.stringify(ended));
  assert.equal(outcome, "failed");
  assert.ok(content.length > 0, "what was said is kept");
  const error = await page.evaluate(() => failureOf(client.ask("Hi!")));
  assert.equal(error.reason, "signed_out", JSON.stringify(error));
  assert.equal(await page.evaluate(() => client.token.peek()), null);
});

for (const order of ["before the client was made", "after it"]) {
  test(`a call inside a callback registered ${order} is the new user's, and nobody waits for the other`, LIMIT, async () => {
    const seen = await page.evaluate(async (isEarly) => {
      const { createClient: createSupabase } = await import("/supabase-js.js");
      const { createClient } = await import("behest-client");
      const { supabaseUrl, publishableKey, behestUrl, functionName } = await (await fetch("/config.json")).json();
      const supabase = createSupabase(supabaseUrl, publishableKey, { auth: { storageKey: crypto.randomUUID() } });
      const made = () => createClient({ supabase, behestUrl, functionName });
      let client;
      if (!isEarly) client = made();
      const seen = [];
      supabase.auth.onAuthStateChange(async (event, session) => {
        if (event !== "SIGNED_IN") return;
        // At once, and supabase-js waits for the end of it.
        const [usage, answer] = await Promise.all([client.usage.get(), client.ask("Hi!")]);
        const { data } = await supabase.auth.getSession();
        seen.push([session.user.id, usage.user_id, data.session.user.id, answer.length > 0]);
      });
      client ??= made();
      for (const password of [crypto.randomUUID(), crypto.randomUUID()]) {
        const { error } = await supabase.auth.signUp({ email: `${crypto.randomUUID()}@example.com`, password });
        if (error) throw error;
      }
      client.close();
      return seen;
    }, order.startsWith("before"));
    assert.equal(seen.length, 2);
    for (const [user, ...found] of seen) assert.deepEqual(found, [user, user, true]);
    assert.notEqual(seen[0][0], seen[1][0]);
  });
}

test("nothing was reported on the console, nothing was thrown", LIMIT, () => {
  assert.deepEqual(opened.complaints, []);
});
