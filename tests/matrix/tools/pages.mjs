// Without a bundler; and pages of one file.
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";

import { fromTests, html, importsInline, project } from "../project.mjs";
import { serveFolder } from "../serve.mjs";

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

export const oneFile = {
  name: "a page of one file (`behest-client/inline`, esbuild)",
  version: () => fromTests("esbuild/package.json").version,
  note: "`'wasm-unsafe-eval'`, as everywhere with a policy; nothing else is fetched",
  async page(port, servers) {
    const folder = await project("one-file");
    await importsInline(folder);
    const { outputFiles } = await fromTests("esbuild").build({
      entryPoints: [path.join(folder, "page.js")],
      bundle: true,
      minify: true,
      format: "esm",
      write: false,
    });
    const script = outputFiles[0].text;
    const hash = createHash("sha256").update(script).digest("base64");
    const policy = `default-src 'none'; script-src 'wasm-unsafe-eval' 'sha256-${hash}'; connect-src ${servers.join(" ")}; img-src data:`;
    const meta = `<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">`;
    // Served from a folder of its own: there is nothing beside the page that could be fetched.
    await mkdir(path.join(folder, "out"));
    await writeFile(path.join(folder, "out/index.html"), html(`<script type="module">${script}</script>`, meta));
    return serveFolder(path.join(folder, "out"), port);
  },
};
