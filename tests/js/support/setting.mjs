/** The installed package, a running stack that serves it, and a browser: made before a file's tests, ended after them. */
import { after } from "node:test";

import { launch } from "./browser.mjs";
import { installPackage } from "./package.mjs";
import { startStack } from "./stack.mjs";

export const installed = await installPackage();
after(() => installed.remove());
export const stack = await startStack(installed);
after(() => stack.stop());
export const browser = await launch();
after(() => browser.close());
