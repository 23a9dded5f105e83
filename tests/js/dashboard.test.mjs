/** The dashboard of behest-local, as somebody at this machine uses it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { LIMIT } from "./support/limits.mjs";
import { startStack, wwwFolder } from "./support/stack.mjs";

const STRANGER = "http://localhost:9999";
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core"), "utf8");

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
  const { email, password } = stack.demoUser;
  const apikey = { apikey: stack.publishableKey };
  const credentials = JSON.stringify({ email, password });
  const session = await json(`${stack.supabase}/auth/v1/token?grant_type=password`, { headers: apikey, body: credentials });
  const authorization = `Bearer ${session.body.access_token}`;
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

const open = async (options) => {
  const opened = await openPage(browser, options);
  await opened.page.goto(stack.dashboard);
  return opened;
};

const section = (page, name) => page.getByRole("region", { name, exact: true });

const SCREENS = [
  { name: "a wide screen", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "a wide dark screen", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "a telephone", colorScheme: "light", viewport: { width: 360, height: 740 } },
  { name: "a dark telephone", colorScheme: "dark", viewport: { width: 360, height: 740 } },
];

for (const { name, ...options } of SCREENS) {
  test(`on ${name} everything fits, is readable and accessible`, LIMIT, async () => {
    const { page, context, complaints } = await open(options);
    await page.locator("#state", { hasText: "Live" }).waitFor();
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name.replaceAll(" ", "-")}.png`, fullPage: true });
    const { scrollWidth, clientWidth } = await page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return { scrollWidth, clientWidth };
    });
    assert.ok(scrollWidth <= clientWidth, `the page is ${scrollWidth} wide on a screen of ${clientWidth}`);
    // The page's policy forbids scripts that are not its own: this one comes from the browser's side.
    const violations = await page.evaluate(`${axe}; axe.run().then(({ violations }) => violations)`);
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test("usage is there by user, session and model, with its cost", LIMIT, async () => {
  const { page, context } = await open();
  const users = section(page, "By user").locator("tbody tr");
  assert.equal(await users.count(), 1);
  assert.match(await users.innerText(), /demo@example\.com/);
  const sessions = await section(page, "By session").locator("tbody tr").allInnerTexts();
  assert.equal(sessions.length, 2);
  assert.match(sessions[0], /^a conversation\s+demo@example\.com\s+2\s/);
  assert.match(await section(page, "By model").locator("tbody").innerText(), /behest-local\s+3\s/);
  assert.match(await section(page, "Minted tokens").innerText(), /1 free\s+900 s/);
  assert.match(await section(page, "Mail").innerText(), /\b\d{6}\b/);
  assert.match(await section(page, "Tokens over time").getByRole("img").getAttribute("aria-label"), /tokens over time/);
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
  await section(page, "Allowed origins").getByRole("button", { name: STRANGER }).click();
  await page.getByRole("status").filter({ hasText: "may not call any more" }).waitFor();
  assert.equal((await chat({ origin: STRANGER })).status, 403);
  await context.close();
});

test("budgets, faults and the kill switch work at once", LIMIT, async () => {
  const { page, context } = await open();
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
  await switches.getByRole("button", { name: "Switch on" }).click();
  await switches.getByText("The gateway answers.").waitFor();
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
  const page = await (await fetch(stack.dashboard)).text();
  const key = /name="key" value="([0-9a-f]+)"/.exec(page)[1];
  const post = (headers, body) =>
    fetch(`${stack.gateway}/dashboard/switches`, { method: "POST", redirect: "manual", headers, body: new URLSearchParams(body) });
  assert.equal((await post({}, { killed: "on" })).status, 403, "without the page's key");
  assert.equal((await post({ origin: "http://localhost:5173" }, { key, killed: "on" })).status, 403, "from another page");
  assert.equal((await post({ "sec-fetch-site": "cross-site" }, { key, killed: "on" })).status, 403, "from another site");
  assert.equal((await chat()).status, 200, "nothing was switched");
  const reply = await fetch(stack.dashboard, { headers: { origin: STRANGER } });
  assert.equal(reply.headers.get("access-control-allow-origin"), null, "no page may read it");
  assert.match(reply.headers.get("content-security-policy"), /frame-ancestors 'none'/);
});
