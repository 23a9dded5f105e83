/** Answers on their way from another OpenAI-compatible server through the gateway into the page, and what can go wrong there. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { signIn } from "./support/demo-page.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";
import { startUpstream } from "./support/upstream.mjs";

let installed;
let upstream;
let stack;
let browser;
let page;

before(async () => {
  installed = await installPackage();
  upstream = await startUpstream();
  stack = await startStack({ ...installed, more: ["--upstream", upstream.url] });
  browser = await launch();
  ({ page } = await openPage(browser));
  await signIn(page, stack, stack.demoUser);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  await upstream?.stop();
  await installed?.remove();
});

const answer = () => page.locator("#messages > .answered").last();

/** Asks, and gives the chat as the upstream has received it. */
async function begin(question) {
  const chat = upstream.next();
  await page.getByLabel("Your question").fill(question);
  await page.getByLabel("Your question").press("Enter");
  return chat;
}

const shows = (text) => answer().locator(".answer-text").filter({ hasText: text }).waitFor();
const outcome = () => answer().locator(".outcome").innerText();

test("each piece is on the page before the next one is sent", LIMIT, async () => {
  const chat = await begin("Count.");
  assert.equal(chat.path, "/v1/chat/completions");
  assert.equal(chat.body.stream, true);
  assert.deepEqual(chat.body.messages.at(-1), { role: "user", content: "Count." });
  chat.begin();
  let whole = "";
  for (const piece of ["One", ", two", ", three – 三", ", 4️⃣."]) {
    chat.say(piece);
    whole += piece;
    await answer().locator(".answer-text").getByText(whole, { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Stop" }).isVisible(), true, "it is still on its way");
  }
  chat.finish();
  assert.equal(await outcome(), "complete");
  assert.match(await answer().locator(".ending").innerText(), /8 tokens/);
});

test("an answer cut by the length limit says so", LIMIT, async () => {
  const chat = await begin("Go on.");
  assert.deepEqual(
    chat.body.messages.map(({ role }) => role),
    ["user", "assistant", "user"],
    "the conversation is sent along",
  );
  chat.begin();
  chat.say("And then");
  chat.finish("length");
  assert.equal(await outcome(), "length");
});

test("Stop reaches the upstream as a closed connection", LIMIT, async () => {
  const chat = await begin("Tell me more.");
  chat.begin();
  chat.say("Once upon a time");
  await shows("Once upon a time");
  await page.getByRole("button", { name: "Stop" }).click();
  assert.equal(await outcome(), "aborted");
  assert.equal(await chat.abandoned, true);
});

for (const [how, end] of [
  ["breaks in the middle", (chat) => chat.cut()],
  ["ends without an end marker", (chat) => chat.closeEarly()],
]) {
  test(`an answer that ${how} is never shown as whole; its text is kept and it can be asked again`, LIMIT, async () => {
    const chat = await begin(`What ${how}?`);
    chat.begin();
    chat.say("The first half");
    await shows("The first half");
    end(chat);
    assert.match(await outcome(), /^(failed|disconnected|truncated)$/);
    const card = answer().getByRole("alert");
    assert.match(await card.innerText(), /reason\s+(server_error|disconnected|truncated)/);
    assert.equal(await answer().locator(".answer-text").innerText(), "The first half");

    const retried = upstream.next();
    await card.getByRole("button", { name: "Ask again" }).click();
    const second = await retried;
    assert.equal(second.body.messages.at(-1).content, `What ${how}?`);
    assert.ok(!JSON.stringify(second.body.messages).includes("The first half"), "the half answer is forgotten");
    second.begin();
    second.say("All of it");
    second.finish();
    assert.equal(await outcome(), "complete");
    assert.equal(await page.getByText("The first half").count(), 0);
  });
}

test("a refusal by the upstream becomes an error that says what to do", LIMIT, async () => {
  const chat = await begin("Refuse me.");
  chat.refuse(400, { message: "no such model", type: "invalid_request_error", code: "model_not_found" });
  const card = answer().getByRole("alert");
  await card.waitFor();
  assert.equal(await outcome(), "failed");
  assert.match(await card.innerText(), /no such model/, "in the upstream's words");
  assert.match(await card.innerText(), /reason\s+invalid_request/);
  assert.match(await card.innerText(), /status\s+400/);
});
