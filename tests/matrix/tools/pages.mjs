// Without a bundler.
import { html, project } from "../project.mjs";
import { serveFolder } from "../serve.mjs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

const PACKAGE = "/node_modules/behest-client";

export const plain = {
  name: 'plain `<script type="module">`',
  note: "import the files by their paths",
  async page(port) {
    const folder = await project("plain", { "index.html": html('<script type="module" src="/page.js"></script>') });
    const file = path.join(folder, "prove.js");
    const text = (await readFile(file, "utf8"))
      .replace('"behest-client"', `"${PACKAGE}/index.js"`)
      .replace('"behest-client/chat"', `"${PACKAGE}/chat.js"`);
    await writeFile(file, text);
    return serveFolder(folder, port);
  },
};

export const importMap = {
  name: "import map",
  note: "one line for each entry",
  async page(port) {
    const imports = { "behest-client": `${PACKAGE}/index.js`, "behest-client/chat": `${PACKAGE}/chat.js` };
    const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
    return serveFolder(
      await project("import-map", { "index.html": html('<script type="module" src="/page.js"></script>', map) }),
      port,
    );
  },
};
