import { readFileSync } from "node:fs";

import { chromium } from "playwright-core";

import { required } from "./required.mjs";

export const ARGS = JSON.parse(readFileSync(new URL("chromium-flags.json", import.meta.url)));
const DEADLINE_MS = 60_000;

/** Headless Chromium. */
export const launch = (more = []) =>
  chromium.launch({ executablePath: required("CHROMIUM", "a Chromium or Chrome program"), headless: true, args: [...ARGS, ...more] });

/**
 * A page of its own profile. `complaints` collects whatever the console reports as an error or a warning,
 * and every exception nobody caught; `requests` everything sent, preflights excepted.
 */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-US", ...options });
  context.setDefaultTimeout(DEADLINE_MS);
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("request", (request) => requests.push(request));
  return { page, context, complaints, requests };
}
