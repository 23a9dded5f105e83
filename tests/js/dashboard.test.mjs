/** The dashboard of behest-local, as somebody at this machine uses it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { LIMIT } from "./support/limits.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";

const STRANGER = "http://localhost:9999";

let stack;
let browser;
let token;

const question = { messages: [{ role: "user", content: "Hello" }] };

async function json(url, { headers = {}, ...options }) {
  const reply = await fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, ...options });
  return { status: reply.status, body: await reply.json() };
}

const chat = (headers = {}, body = question) =>
  json(`${stack.gateway}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify(body),
  });

before(async () => {
  stack = await startStack({ packageFolder: wwwFolder });
  const { email } = stack.demoUser;
  const apikey = { apikey: stack.publishableKey };
  const authorization = `Bearer ${await stack.session()}`;
  token = (await json(`${stack.supabase}/functions/v1/behest-token`, { headers: { authorization } })).body.token;
  for (const id of ["a conversation", "another conversation", "a conversation"]) await chat({ "x-session-id": id });
  await chat({ origin: STRANGER });
  await json(`${stack.supabase}/auth/v1/otp`, { headers: apikey, body: JSON.stringify({ email }) });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stack?.stop();
});

const open = async (room = "overview", query = "") => {
  const opened = await openPage(browser);
  await opened.page.goto(`${stack.dashboard}/${room}${query}`);
  return opened;
};

const section = (page, name) => page.getByRole("region", { name, exact: true });

test("every room is there, and says where one is", LIMIT, async () => {
  const { page, context, complaints } = await open();
  const rooms = page.getByRole("navigation", { name: "Rooms" });
  for (const name of ["Requests", "Users and sessions", "Tokens and mail", "Settings", "Overview"]) {
    await rooms.getByRole("link", { name }).click();
    await page.locator(`nav a[aria-current="page"]`, { hasText: name }).waitFor();
    assert.equal(await page.title(), `${name} · behest-local`);
  }
  assert.deepEqual(complaints, []);
  await context.close();
});

test("usage is there by user, session and model, with its cost", LIMIT, async () => {
  const { page, context } = await open();
  assert.match(await section(page, "By model").locator("tbody").innerText(), /behest-local\s+3\s/);
  assert.match(await section(page, "Tokens over time").getByRole("img").getAttribute("aria-label"), /tokens over time/);
  await page.goto(`${stack.dashboard}/users`);
  const users = section(page, "By user").locator("tbody tr");
  assert.equal(await users.count(), 1);
  assert.match(await users.innerText(), /demo@example\.com/);
  const sessions = await section(page, "Latest sessions").locator("tbody tr").allInnerTexts();
  assert.equal(sessions.length, 2);
  assert.match(sessions[0], /^a conversation\s+demo@example\.com\s+2\s/);
  await page.goto(`${stack.dashboard}/tokens`);
  assert.match(await section(page, "Minted tokens").innerText(), /1 free\s+900 s/);
  assert.match(await section(page, "Mail").innerText(), /\b\d{6}\b/);
  assert.match(await section(page, "Mail").getByRole("link").getAttribute("href"), /\/auth\/v1\/verify\?token=[0-9a-f]{32}&type=magiclink/);
  await context.close();
});

test("a request is found by user, session and status, and shown without its secrets", LIMIT, async () => {
  const refused = await json(`${stack.supabase}/auth/v1/token?grant_type=password`, {
    headers: { apikey: stack.publishableKey },
    body: JSON.stringify({ email: stack.demoUser.email, password: "not this one" }),
  });
  assert.equal(refused.status, 400);
  const { page, context } = await open("requests");
  const rows = section(page, "Latest requests").locator("tbody tr");
  await page.getByLabel("Session").fill("another conv");
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/session=another/);
  assert.equal(await rows.count(), 1);
  assert.match(await rows.innerText(), /POST \/v1\/chat\/completions\s+200/);
  await rows.getByRole("link").click();
  await section(page, "POST /v1/chat/completions").waitFor();
  const headers = await section(page, "Request headers").innerText();
  assert.match(headers, /authorization\s+Bearer … \(\d+ characters\)/);
  assert.ok(!(await page.content()).includes(token), "the token is nowhere");
  assert.match(await section(page, "POST /v1/chat/completions").innerText(), /Last byte after\s+\d+ ms/);

  await page.goto(`${stack.dashboard}/requests?status=refused`);
  assert.ok((await rows.allInnerTexts()).every((text) => /\s4\d\d\s/.test(text)));
  await rows.filter({ hasText: "invalid_credentials" }).getByRole("link").click();
  assert.match(await section(page, "Why was this refused?").innerText(), /There is no such user, or the password is another one/);
  await context.close();
});

test("prompts and answers are kept once they are asked for, and forgotten again", LIMIT, async () => {
  const { page, context } = await open("settings");
  await chat({ "x-session-id": "before" });
  await page.getByRole("button", { name: "Keep prompts and answers" }).click();
  await page.getByRole("status").filter({ hasText: "are kept from now on" }).waitFor();
  await chat({ "x-session-id": "whole" }, { messages: [{ role: "user", content: "What is kept?" }] });
  const stream = await fetch(`${stack.gateway}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "x-session-id": "streamed" },
    body: JSON.stringify({ messages: [{ role: "user", content: "And streamed?" }], stream: true }),
  });
  await stream.text();
  const texts = async (session) => {
    await page.goto(`${stack.dashboard}/requests?session=${session}`);
    await section(page, "Latest requests").locator("tbody").getByRole("link").click();
    return section(page, "Prompt and answer").innerText();
  };
  assert.match(await texts("before"), /Not kept/);
  assert.match(await texts("whole"), /user: What is kept\?[^]*Answer\s+You wrote: “What is kept\?”/);
  assert.match(await texts("streamed"), /user: And streamed\?[^]*Answer\s+You wrote: “And streamed\?”/);
  await page.goto(`${stack.dashboard}/settings`);
  await page.getByRole("button", { name: "Forget prompts and answers" }).click();
  assert.match(await texts("whole"), /Not kept/);
  await context.close();
});

test("why something was refused is said with the button that helps", LIMIT, async () => {
  const { page, context } = await open("settings");
  const detail = async (session) => {
    await page.goto(`${stack.dashboard}/requests?session=${session}`);
    await section(page, "Latest requests").locator("tbody tr").first().getByRole("link").click();
    return section(page, "Why was this refused?");
  };
  const other = "http://localhost:7777";
  assert.equal((await chat({ origin: other, "x-session-id": "cors" })).status, 403);
  const cors = await detail("cors");
  await cors.getByText(`Pages of ${other} are not allowed to call`).waitFor();
  await cors.getByRole("button", { name: other }).click();
  await page.getByRole("status").filter({ hasText: `${other} may call now` }).waitFor();
  assert.equal((await chat({ origin: other })).status, 200);

  // Callers choose what is shown: an id may hold what an address gives a meaning to, an origin may be long.
  const odd = "a&user=nobody#b%20c+d";
  assert.equal((await chat({ origin: `http://${"long-".repeat(60)}.example`, "x-session-id": odd })).status, 403);
  const refused = await detail(encodeURIComponent(odd));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  await refused.getByText(/^Pages of http:..long-/).waitFor();
  await page.getByRole("link", { name: odd }).click();
  await page.waitForURL(/session=a%26user/);
  assert.equal(await section(page, "Latest requests").locator("tbody tr").count(), 1);
  await (await detail(encodeURIComponent(odd))).getByRole("button", { name: "Allow" }).click();
  await page.getByRole("status").filter({ hasText: "may call now" }).waitFor();

  const faults = section(page, "Faults on demand");
  await page.goto(`${stack.dashboard}/settings`);
  await faults.getByLabel("Where and what").fill("chat status=503");
  await faults.getByRole("button", { name: "Add" }).click();
  assert.equal((await chat({ "x-session-id": "fault" })).status, 503);
  await (await detail("fault")).getByRole("button", { name: "Remove the fault" }).click();
  await page.getByRole("status").filter({ hasText: "The fault is removed" }).waitFor();
  assert.equal((await chat()).status, 200);
  await context.close();
});

test("plans are set and users banned, and both count at once", LIMIT, async () => {
  const { page, context } = await open("users");
  const users = section(page, "Users");
  const { email, password } = stack.demoUser;
  const signIn = () =>
    json(`${stack.supabase}/auth/v1/token?grant_type=password`, {
      headers: { apikey: stack.publishableKey },
      body: JSON.stringify({ email, password }),
    });
  await users.getByLabel(`Plan of ${email}`).selectOption("max");
  await users.getByRole("button", { name: `Set the plan of ${email}` }).click();
  await page.getByRole("status").filter({ hasText: "The plan is max now" }).waitFor();
  assert.equal(await users.getByLabel(`Plan of ${email}`).inputValue(), "max");
  await users.getByRole("button", { name: `Ban ${email}` }).click();
  await page.getByRole("status").filter({ hasText: "cannot sign in any more" }).waitFor();
  assert.equal((await signIn()).body.error_code, "user_banned");
  await users.getByRole("button", { name: `Allow ${email}` }).click();
  await page.getByRole("status").filter({ hasText: "may sign in again" }).waitFor();
  assert.equal((await signIn()).status, 200);
  await context.close();
});

test("what a form did is told once, and no address can make it up", LIMIT, async () => {
  const { page, context } = await open("settings");
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("status").filter({ hasText: "New keys sign from now on" }).waitFor();
  await page.waitForURL((url) => !url.search.includes("notice"));
  await page.reload();
  assert.equal(await page.locator(".notice").count(), 0);
  for (const query of ["?done=All+is+lost", "?problem=Call+0800", "?notice=All+is+lost"]) {
    await page.goto(`${stack.dashboard}/settings${query}`);
    assert.equal(await page.locator(".notice").count(), 0, query);
    assert.ok(!(await page.content()).includes("All is lost"), query);
  }
  await context.close();
});

test("it says Live only while it is", LIMIT, async () => {
  const { page, context } = await open();
  const state = (text) => page.locator("#state", { hasText: text }).waitFor();
  await state("Live");
  const allow = section(page, "Refused origins (CORS)").getByRole("button").first();
  await allow.focus();
  await state("Paused");
  await page.locator("h1").click();
  await allow.blur();
  await state("Live");
  await context.setOffline(true);
  await state("does not answer");
  await context.close();
});

test("a chat shows up while it runs and after, without a reload", LIMIT, async () => {
  const { page, context } = await open();
  const chats = page.locator(".tile", { hasText: "Chats" }).locator("dd");
  const before = Number.parseInt(await chats.innerText(), 10);
  const running = section(page, "Running chats");
  await running.getByText("No chat is running.").waitFor();
  const stop = new AbortController();
  const slow = { ...question, stream: true };
  const answer = await fetch(`${stack.gateway}/v1/chat/completions`, {
    method: "POST",
    signal: stop.signal,
    headers: { authorization: `Bearer ${token}`, "x-session-id": "the running one", "x-behest-local-fault": "stall=10" },
    body: JSON.stringify(slow),
  });
  assert.equal(answer.status, 200);
  await running.getByText("the running one").waitFor();
  stop.abort();
  await running.getByText("No chat is running.").waitFor();
  await chats.filter({ hasText: `${before + 1}` }).waitFor();
  await context.close();
});

test("a refused origin is allowed with one press, by keyboard, and taken away again", LIMIT, async () => {
  const { page, context } = await open();
  assert.equal((await chat({ origin: STRANGER })).status, 403);
  const allow = section(page, "Refused origins (CORS)").getByRole("button", { name: STRANGER });
  await allow.waitFor();
  await allow.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("status").filter({ hasText: `${STRANGER} may call now` }).waitFor();
  assert.equal((await chat({ origin: STRANGER })).status, 200);
  const preflight = await fetch(`${stack.supabase}/functions/v1/behest-token`, {
    method: "OPTIONS",
    headers: { origin: STRANGER, "access-control-request-method": "POST" },
  });
  assert.equal(preflight.headers.get("access-control-allow-origin"), STRANGER, "the token function knows it, too");
  await section(page, "Refused origins (CORS)").getByText("No page was refused").waitFor();
  await page.goto(`${stack.dashboard}/settings`);
  await section(page, "Allowed origins").getByRole("button", { name: STRANGER }).click();
  await page.getByRole("status").filter({ hasText: "may not call any more" }).waitFor();
  assert.equal((await chat({ origin: STRANGER })).status, 403);
  await context.close();
});

test("budgets, faults and the kill switch work at once", LIMIT, async () => {
  const { page, context } = await open("settings");
  const budgets = section(page, "Budgets");
  await budgets.getByLabel("Tokens, or dollars").fill("nonsense");
  await budgets.getByRole("button", { name: "Set" }).click();
  await page.getByRole("alert").filter({ hasText: "is not an amount" }).waitFor();
  await budgets.getByLabel("Only of this id").fill("small");
  await budgets.getByLabel("Tokens, or dollars").fill("92");
  await budgets.getByRole("button", { name: "Set" }).click();
  await budgets.getByText("Session small: 92 tokens").waitFor();
  assert.equal((await chat({ "x-session-id": "small" })).status, 200);
  assert.equal((await chat({ "x-session-id": "small" })).body.error.code, "budget_exceeded");
  await page.reload();
  await budgets.getByText("63 used").waitFor();
  assert.equal(await budgets.getByRole("img").getAttribute("aria-label"), "68 percent");
  await budgets.getByRole("button", { name: "Remove" }).click();
  await budgets.getByText("Nobody has a budget.").waitFor();
  assert.equal((await chat({ "x-session-id": "small" })).status, 200);

  const faults = section(page, "Faults on demand");
  await faults.getByLabel("Where and what").fill("chat status=503 times=1");
  await faults.getByRole("button", { name: "Add" }).click();
  await faults.getByRole("code").filter({ hasText: "chat status=503 times=1" }).waitFor();
  assert.deepEqual([(await chat()).status, (await chat()).status], [503, 200]);

  const switches = section(page, "Switches");
  await switches.getByRole("button", { name: "Switch off" }).click();
  await switches.getByText("The gateway refuses every call.").waitFor();
  assert.equal((await chat()).status, 403);
  await page.goto(`${stack.dashboard}/requests`);
  const banner = page.getByRole("alert").filter({ hasText: "The kill switch is on" });
  await banner.getByRole("button", { name: "Let the gateway answer" }).click();
  await page.getByRole("status").filter({ hasText: "The gateway answers again" }).waitFor();
  assert.equal(await banner.count(), 0);
  assert.equal((await chat()).status, 200);
  await context.close();
});

test("usage is exported as CSV", LIMIT, async () => {
  const { page, context } = await open();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Export CSV" }).click()]);
  const lines = (await readFile(await download.path(), "utf8")).trimEnd().split("\r\n");
  assert.equal(lines[0], "time,request_id,user_id,session_id,model,input_tokens,output_tokens,cost_usd,source,outcome");
  assert.ok(lines.length > 3 && lines.every((line) => line.split(",").length === 10), lines.join("\n"));
  await context.close();
});

test("nobody else can read it or post its forms", LIMIT, async () => {
  const read = (headers) => fetch(stack.dashboard, { headers }).then((reply) => reply.status);
  assert.equal(await read({}), 200);
  const page = await (await fetch(`${stack.dashboard}/settings`)).text();
  const key = /name="key" value="([0-9a-f]+)"/.exec(page)[1];
  const post = (headers, body) =>
    fetch(`${stack.gateway}/dashboard/switches`, { method: "POST", redirect: "manual", headers, body: new URLSearchParams(body) });
  assert.equal((await post({}, { killed: "on" })).status, 403, "without the page's key");
  assert.equal((await post({ origin: "http://localhost:5173" }, { key, killed: "on" })).status, 403, "from another page");
  assert.equal((await post({ "sec-fetch-site": "cross-site" }, { key, killed: "on" })).status, 403, "from another site");
  assert.equal((await chat()).status, 200, "nothing was switched");
  const reply = await fetch(stack.dashboard, { headers: { origin: STRANGER } });
  assert.equal(reply.headers.get("access-control-allow-origin"), null, "no page may read it");
  assert.match(reply.headers.get("content-security-policy"), /frame-ancestors 'none'.*require-trusted-types-for 'script'/);
});
