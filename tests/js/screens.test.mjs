/**
 * Every screen in Chromium and Firefox, wide and narrow, light and dark: it fits, and the accessibility rules find nothing.
 * With SCREENSHOTS, a folder, a picture of each is left there.
 */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { launch, openPage } from "./support/browser.mjs";
import { launchFirefox } from "./support/firefox.mjs";
import { LIMIT } from "./support/limits.mjs";
import { installPackage } from "./support/package.mjs";
import { startStack } from "./support/stack.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pictures = process.env.SCREENSHOTS;
const ROOMS = ["overview", "requests", "users", "tokens", "settings"];
const SIZES = { 1280: { width: 1280, height: 900 }, 390: { width: 390, height: 844 } };
const QUESTION = "What happens when I press send?";

/** What does not fit, and what the accessibility rules say. Runs in the page. */
const LOOK = `
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  const right = (element) => element.getBoundingClientRect().right;
  const shown = (element) => element.checkVisibility() && !element.closest(".visually-hidden, thead, pre");
  const out = [...document.querySelectorAll(".card *, .tile *")].filter(shown)
    .filter((element) => right(element) > right(element.closest(".card, .tile")) + 1)
    .map((element) => element.outerHTML.slice(0, 120));
  const { violations } = await axe.run();
  return { wide, out, violations: violations.map(({ id, nodes }) => [id, ...nodes.map(({ html }) => html.slice(0, 200))]) };
`;

let installed;
let stack;
let browsers;

before(async () => {
  installed = await installPackage();
  stack = await startStack({ ...installed, more: ["--budget", "session=2000"] });
  browsers = { chromium: await chromium(), firefox: await launchFirefox() };
  await traffic();
});

after(async () => {
  await Promise.all(Object.values(browsers ?? {}).map((browser) => browser.close()));
  await stack?.stop();
  await installed?.remove();
});

/** Chromium with the same few verbs. */
async function chromium() {
  const browser = await launch();
  return {
    async open(options) {
      const { page, context } = await openPage(browser, { ...options, reducedMotion: "reduce" });
      return {
        // From the browser's side: the pages' policies forbid scripts that are not their own.
        evaluate: (script) => page.evaluate(`(async () => { ${script} })()`),
        goto: (url) => page.goto(url),
        waitFor: (css) => page.locator(css).first().waitFor({ state: "attached" }),
        click: (css) => page.locator(css).click(),
        type: (css, text) => page.locator(css).fill(text).then(() => page.locator(css).press("Enter")),
        screenshot: () => page.screenshot({ fullPage: true }),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

/** Something to see: users, chats, refusals, a letter, a budget's worth of settings. */
async function traffic() {
  const { email } = stack.demoUser;
  const headers = { apikey: stack.publishableKey, "content-type": "application/json" };
  const post = (url, body, more) => fetch(url, { method: "POST", headers: { ...headers, ...more }, body: JSON.stringify(body) });
  const bearer = { authorization: `Bearer ${await stack.session()}` };
  const { token } = await (await post(`${stack.supabase}/functions/v1/behest-token`, {}, bearer)).json();
  for (const n of [1, 2, 3, 4]) {
    const chat = { messages: [{ role: "user", content: `Question ${n}, and why.` }] };
    const more = { authorization: `Bearer ${token}`, "x-session-id": `a-conversation-of-the-morning-${n}` };
    await (await post(`${stack.gateway}/v1/chat/completions`, chat, more)).text();
    await (await post(`${stack.gateway}/v1/chat/completions`, chat, { ...more, origin: "http://localhost:9999" })).text();
  }
  await post(`${stack.supabase}/auth/v1/token?grant_type=password`, { email, password: "not this one" });
  await post(`${stack.supabase}/auth/v1/otp`, { email: "ada@example.com" });
  await post(`${stack.supabase}/auth/v1/signup`, { email: "grace@example.com", password: "correct horse" });
}

async function look(screen, name) {
  const { wide, out, violations } = await screen.evaluate(`${axe}; ${LOOK}`);
  if (pictures) {
    await mkdir(pictures, { recursive: true });
    await writeFile(`${pictures}/${name}.png`, await screen.screenshot());
  }
  assert.deepEqual(violations, [], name);
  assert.deepEqual(out, [], `what sticks out of its card in ${name}`);
  assert.equal(wide, false, `${name} is wider than the screen`);
}

for (const browser of ["chromium", "firefox"]) {
  for (const [width, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const of = (what) => `${what}-${browser}-${width}-${colorScheme}`;
      const inWindow = async (visit) => {
        const screen = await browsers[browser].open({ viewport, colorScheme });
        await visit(screen).finally(() => screen.close());
      };

      test(`the dashboard in ${browser}, ${width} wide, ${colorScheme}`, LIMIT, async () => {
        await inWindow(async (screen) => {
          for (const room of ROOMS) {
            await screen.goto(`${stack.dashboard}/${room}`);
            await screen.waitFor("h1");
            await look(screen, of(room));
          }
          await screen.goto(`${stack.dashboard}/requests?status=refused`);
          await screen.waitFor("tbody a");
          await screen.goto(await screen.evaluate("return document.querySelector('tbody a').href"));
          await screen.waitFor(".why");
          await look(screen, of("request"));
        });
      });

      test(`the page in ${browser}, ${width} wide, ${colorScheme}`, LIMIT, async () => {
        await inWindow(async (screen) => {
          await screen.goto(stack.page);
          await screen.waitFor("#demo:not([hidden])");
          await look(screen, of("welcome"));
          await screen.click("#demo-sign-in");
          await screen.waitFor("#workspace:not([hidden])");
          await screen.type("#question", QUESTION);
          await screen.waitFor(".outcome[data-outcome]");
          // Dimmed while it is read.
          await screen.waitFor("#usage:not([aria-busy]) table");
          await look(screen, of("page"));
        });
      });
    }
  }
}
