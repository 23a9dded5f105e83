/**
 * Drives the demo page of a running stack in headless Chromium, the way a person would, and prints what happened.
 * Exits 0 only if all of it did.
 *
 * BEHEST_STACK (or the first argument): the JSON line that `behest-local start --json` prints.
 * CHROMIUM: the browser. BEHEST_SCREENSHOTS: a folder for the screenshot, by default a new temporary one.
 */
import { mkdir, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { launch, openPage } from "./support/browser.mjs";
import { ask, signIn, storedSession, usageRow } from "./support/demo-page.mjs";
import { required } from "./support/required.mjs";
import { connect } from "./support/stack.mjs";

const QUESTION = "What happens when I press send?";
const FEWEST_STEPS = 3;
/** A small model on a small machine may take its time. */
const DEADLINE_MS = 180_000;

const missing = [];

/** Prints a line; what does not hold is remembered. */
function report(holds, line) {
  console.log(`${holds ? "  ok " : "  NO "} ${line}`);
  if (!holds) missing.push(line);
}

function times(steps) {
  const line = ({ ms, text }, index) => `      +${ms.toFixed(0).padStart(5)} ms  ${JSON.stringify(text.slice(steps[index - 1]?.text.length ?? 0))}`;
  const lines = steps.map(line);
  return lines.length <= 16 ? lines : [...lines.slice(0, 10), `      … ${lines.length - 14} more …`, ...lines.slice(-4)];
}

async function check(stack, browser) {
  const { page, context, complaints } = await openPage(browser, { viewport: { width: 1280, height: 860 } });
  context.setDefaultTimeout(DEADLINE_MS);
  const before = await stack.counters();

  console.log(`\nSign in at ${stack.page}`);
  await signIn(page, stack, stack.demoUser);
  const { user } = await storedSession(page);
  report(user.email === stack.demoUser.email, `signed in as ${user.email}, user ${user.id}`);

  console.log(`\nAsk: ${QUESTION}`);
  const answer = await ask(page, QUESTION, { limitMs: DEADLINE_MS });
  for (const line of times(answer.steps)) console.log(line);
  const spread = (answer.steps.at(-1)?.ms ?? 0) - (answer.steps[0]?.ms ?? 0);
  report(answer.steps.length >= FEWEST_STEPS && spread > 0, `streamed: seen growing in ${answer.steps.length} steps over ${spread.toFixed(0)} ms`);
  report(answer.text !== "", `answer: ${answer.text}`);
  // A small model without an end in mind runs into the length limit, which is a proper end as well.
  report(["complete", "length"].includes(answer.outcome), `outcome: ${answer.outcome}${answer.error ? ` – ${answer.error}` : ""}`);

  console.log("\nCount");
  const after = await stack.counters();
  const grown = (name) => after(name) - before(name);
  const shown = async (name) => Number(await page.locator(`#count-${name}`).innerText());
  const sessionReads = await shown("session-reads");
  report(sessionReads === 1, `session reads: ${sessionReads}`);
  report(grown("functions.behest-token") === 1, `token function calls: ${grown("functions.behest-token")}`);
  report(grown("mint") === 1, `mints: ${grown("mint")}`);
  report(grown("chat") === 1, `chats at the gateway: ${grown("chat")}`);

  console.log("\nUsage as the page shows it");
  const sessionId = await page.locator("#token-session").innerText();
  const row = await usageRow(page, sessionId, { requests: 1 });
  report(row.userId === user.id, `user ${row.userId}`);
  report(/^[0-9a-f-]{36}$/.test(row.sessionId), `session ${row.sessionId}: ${row.asked} request, ${row.tokens} tokens, ${row.cost}`);
  report(complaints.length === 0, complaints.length === 0 ? "the console is clean" : `the console says: ${complaints.join("; ")}`);

  const folder = process.env.BEHEST_SCREENSHOTS ?? (await mkdtemp(path.join(tmpdir(), "behest-demo-")));
  await mkdir(folder, { recursive: true });
  const screenshot = path.resolve(folder, "demo.png");
  await page.screenshot({ path: screenshot });
  console.log(`\nScreenshot: ${screenshot}`);
}

const stack = connect(process.argv[2] ?? required("BEHEST_STACK", "the addresses of a running stack, as one line of JSON"));
const browser = await launch();
try {
  await check(stack, browser);
} catch (error) {
  missing.push(error.cause ? `${error.message}: ${error.cause.message}` : error.message);
} finally {
  await browser.close();
}

if (missing.length > 0) {
  console.log("\nMissing:");
  for (const line of missing) console.log(`  ${line}`);
  process.exitCode = 1;
} else {
  console.log("\nThe whole path works: one session, one mint, one streamed answer, one usage row.");
}
