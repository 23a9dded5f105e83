/** The demo page itself: usable on a phone, by keyboard, with a screen reader, and when things go wrong. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";

import { openPage } from "./support/browser.mjs";
import { ask, signIn, signOut } from "./support/demo-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { browser, stack } from "./support/setting.mjs";

// As narrow as a window of 1280 pixels at 400 %.
const PHONE = { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true };
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const problemOf = (page) => page.locator("#sign-in-problem").filter({ hasText: /\S/ });

/** What the accessibility rules say about the page as it is now. */
async function violations(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations, passes } = await axe.run();
    if (!passes.some(({ id }) => id === "color-contrast")) throw new Error("the contrast was not looked at");
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" | ")}`);
  });
}

const overflow = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("body *")]
      .filter((element) => element.checkVisibility() && !element.closest(".visually-hidden, .life"))
      .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .map((element) => element.outerHTML.slice(0, 120)),
  );

for (const [device, options] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  for (const colorScheme of ["light", "dark"]) {
    test(`every state is accessible and fits: ${device}, ${colorScheme}`, LIMIT, async () => {
      const { page, context } = await openPage(browser, { ...options, colorScheme, reducedMotion: "reduce" });
      const check = async (state) => {
        assert.deepEqual(await violations(page), [], state);
        assert.deepEqual(await overflow(page), [], state);
      };
      await page.goto(stack.page);
      await page.locator("#sign-in-submit").click();
      await problemOf(page).waitFor();
      await check("signed out, with a complaint");

      await signIn(page, stack, stack.demoUser);
      await check("signed in");

      const answered = await ask(page, "A question without spaces: " + "x".repeat(200));
      assert.equal(answered.outcome, "complete", answered.error);
      await page.locator("#usage table").waitFor({ state: "attached" });
      if (device === "phone") await page.getByRole("button", { name: "Details" }).click();
      await page.locator("#usage table").waitFor();
      await check("answered, with details");

      await context.setOffline(true);
      assert.match((await ask(page, "Are you there?")).error, /network/);
      await check("failed");

      await context.setOffline(false);
      assert.equal((await ask(page, "And now?")).outcome, "complete");
      const facts = await page.locator(".answered:last-child .ending").innerText();
      const [first, all] = [...facts.matchAll(/after ([\d.]+) (m?s)/g)].map(([, number, unit]) => number * (unit === "s" ? 1000 : 1));
      assert.ok(first <= all, facts);
      await context.close();
    });
  }
}

describe("signing in and up", () => {
  let page;
  let context;

  before(async () => {
    ({ page, context } = await openPage(browser));
    await page.goto(stack.page);
  });
  after(() => context.close());

  const attempt = async (email, password) => {
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(password);
    await page.getByLabel("Password").press("Enter");
  };

  test("what is missing is named, and the focus goes there", LIMIT, async () => {
    await attempt("not an address", "secret");
    assert.match(await problemOf(page).innerText(), /e-mail address/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "email");
    await attempt("someone@example.com", "");
    assert.match(await problemOf(page).innerText(), /password/);
    assert.equal(await page.evaluate(() => document.activeElement.id), "password");
    assert.equal(await page.getByLabel("Password").getAttribute("aria-invalid"), "true");
  });

  test("a wrong password is told in Supabase's words", LIMIT, async () => {
    await attempt(stack.demoUser.email, "not the password");
    assert.match(await problemOf(page).innerText(), /invalid login credentials/i);
  });

  test("an account that exists is not created again", LIMIT, async () => {
    await page.getByRole("button", { name: "Create account" }).first().click();
    await attempt(stack.demoUser.email, "another password");
    assert.match(await problemOf(page).innerText(), /already/i);
  });

  test("a reload keeps the session, and starts with an empty token cache", LIMIT, async () => {
    await signIn(page, stack, stack.demoUser);
    await ask(page, "Hello?");
    await page.reload();
    await page.getByLabel("Your question").waitFor();
    assert.equal(await page.evaluate(() => behest.token.peek()), null);
    assert.equal((await ask(page, "Hello again?")).outcome, "complete");
  });

  test("an access token near its end is renewed before it is used", LIMIT, async () => {
    const before = await stack.counters();
    await page.evaluate(() => {
      const session = JSON.parse(sessionStorage.getItem("supabase-session"));
      sessionStorage.setItem("supabase-session", JSON.stringify({ ...session, endsAt: Date.now() + 30_000 }));
    });
    await page.reload();
    assert.equal((await ask(page, "Still there?")).outcome, "complete");
    const after = await stack.counters();
    assert.equal(after("auth.token.refresh_token") - before("auth.token.refresh_token"), 1);
  });

  test("a session that Supabase no longer knows ends in the sign-in form, which says why", LIMIT, async () => {
    await page.evaluate(() => {
      const session = JSON.parse(sessionStorage.getItem("supabase-session"));
      sessionStorage.setItem("supabase-session", JSON.stringify({ ...session, refreshToken: "unknown-word", endsAt: 0 }));
    });
    await page.reload();
    await page.getByLabel("Your question").fill("Hello?");
    await page.getByLabel("Your question").press("Enter");
    assert.match(await problemOf(page).innerText(), /session has ended/);
    assert.equal(await page.evaluate(() => sessionStorage.getItem("supabase-session")), null);
  });
});

describe("by keyboard and ear", () => {
  let page;
  let context;

  before(async () => {
    ({ page, context } = await openPage(browser));
    await signIn(page, stack, stack.demoUser);
  });
  after(() => context.close());

  const focused = () => page.evaluate(() => document.activeElement.id);

  test("after signing in one can type at once; Shift+Enter begins a line, Enter sends", LIMIT, async () => {
    assert.equal(await focused(), "question");
    await page.keyboard.type("First");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("second");
    assert.equal(await page.getByLabel("Your question").inputValue(), "First\nsecond");
    await page.keyboard.press("Enter");
    await page.locator(".outcome[data-outcome=complete]").waitFor();
    assert.match(await page.locator(".asked").innerText(), /First\nsecond/);
    assert.equal(await focused(), "question");
  });

  test("an answer is announced once, when it is whole", LIMIT, async () => {
    const said = page.evaluate(() => {
      const announcer = document.getElementById("announcer");
      const heard = [];
      return new Promise((done) => {
        new MutationObserver(() => {
          heard.push(announcer.textContent);
          if (heard.length === 2) done(heard);
        }).observe(announcer, { childList: true });
      });
    });
    const { text } = await ask(page, "What is a token?");
    const [begun, ended] = await said;
    assert.equal(begun, "Answering.");
    assert.ok(ended.endsWith(text), ended);
    assert.equal(await page.locator("#log [aria-live], #messages [role=log]").count(), 0);
  });

  test("Escape stops an answer, and Send with the pointer leaves the focus somewhere useful", LIMIT, async () => {
    await page.getByLabel("Your question").fill("Tell me everything about patience.");
    await page.evaluate(() => {
      const press = () => document.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
      const observer = new MutationObserver(() => {
        if (document.querySelector(".answered:last-child .answer-text")?.textContent) press();
      });
      observer.observe(document.getElementById("messages"), { childList: true, subtree: true, characterData: true });
      globalThis.stopWatching = () => observer.disconnect();
    });
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator(".outcome[data-outcome=aborted]").waitFor();
    await page.evaluate(() => stopWatching());
    assert.equal(await focused(), "question");
  });

  test("signing out cancels the answer and leads back to the form", LIMIT, async () => {
    await page.getByLabel("Your question").fill("Tell me everything about patience.");
    await page.keyboard.press("Enter");
    await page.locator(".answered[aria-busy=true]").waitFor();
    await signOut(page);
    assert.equal(await focused(), "email");
    assert.equal(await page.getByRole("button", { name: "Stop" }).count(), 0);
  });
});

test("a sign-out while the session is being renewed is a sign-out", LIMIT, async () => {
  const { page, context } = await openPage(browser);
  await signIn(page, stack, stack.demoUser);
  await page.evaluate(() => {
    const session = JSON.parse(sessionStorage.getItem("supabase-session"));
    sessionStorage.setItem("supabase-session", JSON.stringify({ ...session, endsAt: Date.now() + 30_000 }));
  });
  await page.reload();
  let hear, release;
  const answered = new Promise((resolve) => (hear = resolve));
  const released = new Promise((resolve) => (release = resolve));
  // It is renewed at the server, and the answer is on its way.
  await page.route(/grant_type=refresh_token/, async (route) => {
    const response = await route.fetch();
    hear();
    await released;
    await route.fulfill({ response });
  });
  await page.getByLabel("Your question").fill("Hello?");
  await page.getByLabel("Your question").press("Enter");
  await answered;
  await signOut(page);
  const renewed = page.waitForResponse(/grant_type=refresh_token/);
  release();
  await (await renewed).finished();
  // Whatever the page makes of it is made once its tasks have run.
  await page.evaluate(() => new Promise((done) => setTimeout(done)));
  assert.equal(await page.locator("#welcome").isVisible(), true);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("supabase-session")), null);
  await context.close();
});

test("a storage that is full, forbidden or damaged keeps nobody out", LIMIT, async () => {
  const { page, context } = await openPage(browser);
  await page.goto(stack.page);
  for (const damaged of ["5", "{", "null", '{"accessToken":"x"}', '{"user":{},"refreshToken":"x"}']) {
    await page.evaluate((kept) => sessionStorage.setItem("supabase-session", kept), damaged);
    await page.reload();
    await page.getByLabel("E-mail").waitFor();
    assert.equal(await page.locator("#startup-error").isHidden(), true, damaged);
  }
  await page.evaluate(() => {
    Storage.prototype.setItem = Storage.prototype.removeItem = () => {
      throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
    };
  });
  await signIn(page, stack, stack.demoUser);
  assert.equal((await ask(page, "Hello?")).outcome, "complete");
  await signOut(page);
  await context.close();
});

test("without a connection the demo's button and the check-up say so, and can be pressed again", LIMIT, async () => {
  const { page, context } = await openPage(browser);
  await page.goto(stack.page);
  await context.setOffline(true);
  await page.locator("#demo-sign-in").click();
  await problemOf(page).waitFor();
  assert.match(await problemOf(page).innerText(), /^No answer from http:/);
  await context.setOffline(false);
  await page.locator("#demo-sign-in").click();
  await page.getByLabel("Your question").waitFor();
  await context.setOffline(true);
  const start = page.locator("#checkup-start");
  await start.click();
  await page.locator("#checkup .error-card").waitFor();
  assert.match(await page.locator("#checkup .error-message").innerText(), /did not load, reload the page/);
  assert.equal(await start.isEnabled(), true);
  await context.close();
});

test("a missing config.json is told on the page", LIMIT, async () => {
  const { page, context } = await openPage(browser);
  await page.route("**/config.json", (route) => route.fulfill({ status: 404, body: "" }));
  await page.goto(stack.page);
  await page.locator("#startup-error", { hasText: "config.json answered 404" }).waitFor();
  await context.close();
});
