/** The installed package, a running stack that serves it, and a browser: made before a file's tests, ended after them. */
import { after, before } from "node:test";

import { launch } from "./browser.mjs";
import { installPackage } from "./package.mjs";
import { startStack } from "./stack.mjs";

export let installed;
export let stack;
export let browser;

before(async () => {
  installed = await installPackage();
  stack = await startStack(installed);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  await installed?.remove();
});
