/** What one can do with a conversation on the demo page: edit, ask again, copy, go back to it; its budget, its errors, the check-up. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { ask, signIn } from "./support/demo-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";

const BUDGET = 600;
let installed;
let stack;
let browser;
let opened;
let page;

before(async () => {
  installed = await installPackage();
  stack = await startStack({ ...installed, more: ["--budget", `session=${BUDGET}`] });
  browser = await launch();
  opened = await openPage(browser, { viewport: { width: 1280, height: 900 } });
  page = opened.page;
  await opened.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const user = { email: `${crypto.randomUUID()}@example.com`, password: crypto.randomUUID() };
  await signIn(page, stack, user, { creating: true });
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  await installed?.remove();
});

const button = (name) => page.getByRole("button", { name, exact: true });
const titles = () => page.locator("#threads .thread").allInnerTexts();
const questions = () =>
  page.locator(".asked p").evaluateAll((all) => all.map(({ lastChild }) => lastChild.textContent));
/** Waits until the side list is this. */
const listed = (...wanted) =>
  page.waitForFunction((wanted) => JSON.stringify([...document.querySelectorAll("#threads .thread")].map(({ innerText }) => innerText)) === wanted, JSON.stringify(wanted));
const outcome = (name = "complete") => page.locator(`.answered:last-child .outcome[data-outcome=${name}]`).waitFor();
/** Presses what asks again, and waits for the end of the new answer. */
async function again(press) {
  await page.evaluate(() => (globalThis.former = document.querySelector("#messages").lastElementChild));
  await press();
  await page.waitForFunction(() => document.querySelector("#messages").lastElementChild !== former);
  await outcome();
}

test("before the first question nothing is listed or minted; after it, the conversation is in the list", LIMIT, async () => {
  assert.deepEqual(await titles(), []);
  assert.equal((await stack.counters())("mint"), 0);
  await ask(page, "First question");
  await listed("First question");
  assert.equal(await page.locator("#threads [aria-current=true]").count(), 1);
});

test("an edited question takes the place of the former one and of what followed it, in the same session", LIMIT, async () => {
  await ask(page, "Second question");
  const session = await page.locator("#token-session").innerText();
  await page.locator(".asked").first().getByRole("button", { name: "Edit" }).click();
  assert.equal(await page.getByLabel("Your question").inputValue(), "First question");
  await button("Cancel").click();
  assert.equal(await page.getByLabel("Your question").inputValue(), "");
  assert.equal((await questions()).length, 2, "nothing has happened yet");

  await page.locator(".asked").first().getByRole("button", { name: "Edit" }).click();
  await again(async () => {
    await page.getByLabel("Your question").fill("First question, edited");
    await page.getByLabel("Your question").press("Enter");
  });
  assert.deepEqual(await questions(), ["First question, edited"]);
  assert.match(await page.locator(".answer-text").innerText(), /conversation of 1 message\b/, "the model sees what is on the screen");
  assert.equal(await page.locator("#token-session").innerText(), session);
  await listed("First question, edited");
});

test("Try again asks the last question anew, without the former answer", LIMIT, async () => {
  await again(() => button("Try again").click());
  assert.match(await page.locator(".answer-text").innerText(), /conversation of 1 message\b/);
  assert.equal((await questions()).length, 1);
  await listed("First question, edited");
});

test("an earlier conversation is opened with its messages, and goes on; a deleted one is gone", LIMIT, async () => {
  await button("New conversation").click();
  await ask(page, "Something else");
  await listed("Something else", "First question, edited");
  await button("First question, edited").click();
  await page.locator(".answered").waitFor();
  assert.deepEqual(await questions(), ["First question, edited"]);
  await ask(page, "And then?");
  assert.match(await page.locator(".answer-text").last().innerText(), /conversation of 3 messages\b/);
  await listed("First question, edited", "Something else");

  await page.reload();
  await button("Show earlier ones").click();
  await listed("First question, edited", "Something else");
  await page.getByRole("button", { name: "Delete “Something else”" }).click();
  await listed("First question, edited");
  await button("First question, edited").click();
  await page.locator(".answered").nth(1).waitFor();
  await page.getByRole("button", { name: "Delete “First question, edited”" }).click();
  await page.locator("#empty:not([hidden])").waitFor();
  assert.deepEqual(await titles(), []);
});

test("Markdown is built while it streams, moves nothing that stands, and is copied as it was written", LIMIT, async () => {
  await page.evaluate(() => {
    globalThis.shifts = [];
    new PerformanceObserver((list) => {
      for (const { sources } of list.getEntries()) {
        for (const { node } of sources) {
          const element = node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement;
          if (element?.closest(".answer-text")) shifts.push(element.outerHTML);
        }
      }
    }).observe({ type: "layout-shift" });
  });
  const { steps, outcome } = await ask(page, "Show me what Markdown looks like.");
  assert.equal(outcome, "complete");
  for (const [index, { text }] of steps.entries()) assert.ok(text.startsWith(steps[index - 1]?.text ?? ""), text);
  for (const name of ["h3", "strong", "em", "code", "ol ul li", "blockquote", "table td", "pre", "a[rel~=noopener]"]) {
    assert.ok((await page.locator(`.answer-text ${name}`).count()) > 0, name);
  }
  assert.deepEqual(await page.evaluate(() => shifts), []);
  await button("Copy").click();
  await button("Copied").waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^# A heading\n\nSome \*\*bold\*\*/);
});

test("the session's budget is a bar; once it is spent, the page says so and offers what helps", LIMIT, async () => {
  const meter = page.getByRole("meter", { name: "Budget of this session" });
  await meter.waitFor();
  assert.match(await meter.getAttribute("aria-valuetext"), /^\d+ of 600 tokens$/);
  assert.ok(Number(await meter.getAttribute("aria-valuenow")) > 0);
  const card = page.locator(".error-card");
  // Answers until one has no room.
  while ((await card.count()) === 0) await ask(page, "word ".repeat(40));
  assert.match(await card.innerText(), /budget/i);
  await card.getByRole("button", { name: "New conversation" }).click();
  await page.locator("#empty:not([hidden])").waitFor();
  assert.equal(await meter.count(), 0);
});

test("the check-up shows the doctor's report", LIMIT, async () => {
  await page.locator("#checkup-start").click();
  await page.locator(".checks li").first().waitFor();
  const marks = await page.locator(".checks .mark").allInnerTexts();
  assert.ok(marks.length > 5 && marks.every((mark) => mark === "ok"), marks.join());
});

test("every reason has a state of its own, in words for whoever asked", LIMIT, async () => {
  const { REASONS } = await installed.load("dist/reasons.js");
  const cards = await page.evaluate(async (reasons) => {
    const { errorCard } = await import("/errors.js");
    return reasons.map(([reason, [action]]) => {
      const remedies = { [action]: { label: "Do it", run() {} } };
      const card = errorCard({ reason, action, message: "What happened.", hint: "What to do." }, remedies);
      const text = (name) => card.querySelector(`.error-${name}`)?.textContent;
      return { title: text("title"), message: text("message"), hint: text("hint"), code: card.querySelector("code")?.textContent, button: card.querySelector("button")?.textContent };
    });
  }, Object.entries(REASONS));
  assert.ok(cards.length > 50);
  assert.equal(new Set(cards.map(({ title }) => title)).size, cards.length);
  for (const [index, { title, ...rest }] of cards.entries()) {
    assert.notEqual(title, "Something went wrong");
    assert.deepEqual(rest, { message: "What happened.", hint: "What to do.", code: Object.keys(REASONS)[index], button: "Do it" });
  }
});
