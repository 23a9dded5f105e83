/** What a person does on the demo page, for tests. */
import { ANSWER_MS } from "./limits.mjs";

/** Opens the page and signs in with the form; `creating` makes a new account. */
export async function signIn(page, { page: url }, { email, password }, { creating = false } = {}) {
  if (!page.url().startsWith(url)) await page.goto(url);
  await page.locator(`[data-mode="${creating ? "up" : "in"}"]`).click();
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.locator("#sign-in-submit").click();
  const problem = page.locator("#sign-in-problem:not(:empty)");
  await page.locator("#question").or(problem).filter({ visible: true }).first().waitFor();
  if (await problem.isVisible()) throw new Error(`could not sign in: ${await problem.innerText()}`);
}

export async function signOut(page) {
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("E-mail").waitFor();
}

/**
 * Asks with the keyboard and waits for the end of the answer. Returns its text, its outcome, and `steps`:
 * each state in which a reader could have seen it, with the milliseconds since the question.
 */
export async function ask(page, question, { stopAtOnce = false, limitMs = ANSWER_MS } = {}) {
  await page.evaluate(watchAnswer, { stopAtOnce, limitMs });
  await page.getByLabel("Your question").fill(question);
  await page.getByLabel("Your question").press("Enter");
  return page.evaluate(() => globalThis.watched);
}

/** Runs in the page. */
function watchAnswer({ stopAtOnce, limitMs }) {
  const list = document.getElementById("messages");
  const steps = [];
  let began;
  globalThis.watched = new Promise((done, fail) => {
    setTimeout(() => fail(new Error(`the answer did not end within ${limitMs / 1000} s`)), limitMs);
    const observer = new MutationObserver(() => {
      began ??= performance.now();
      const answer = list.lastElementChild;
      const text = answer.querySelector(".answer-text").textContent;
      if (text !== "" && text !== steps.at(-1)?.text) steps.push({ ms: performance.now() - began, text });
      if (stopAtOnce && text !== "") document.getElementById("stop").click();
      const outcome = answer.querySelector(".outcome")?.dataset.outcome;
      if (!outcome) return;
      observer.disconnect();
      done({ steps, text, outcome, error: answer.querySelector(".error-card")?.innerText ?? null });
    });
    observer.observe(list, { childList: true, subtree: true, characterData: true });
  });
  globalThis.watched.catch(() => {});
}

/** The row of this session in the usage table, as a person reads it. */
export async function usageRow(page, sessionId, { requests }) {
  const row = page.locator(`#usage tr[data-session="${sessionId}"]`);
  await row.locator("td").first().filter({ hasText: new RegExp(`^${requests}$`) }).waitFor();
  const [asked, tokens, cost] = await row.locator("td").allInnerTexts();
  return { sessionId: await row.locator("th").innerText(), asked, tokens, cost, userId: await page.locator("#usage .owner code").innerText() };
}

/** The Supabase session that the page keeps. */
export const storedSession = (page) => page.evaluate(() => JSON.parse(sessionStorage.getItem("supabase-session")));
