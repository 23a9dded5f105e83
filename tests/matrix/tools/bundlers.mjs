// Bundlers, through their own APIs and with no more settings than the note says.
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";

import { fromTests, html, importsInline, output, program, project, versionOf } from "../project.mjs";
import { serveFolder } from "../serve.mjs";

const PAGE = { "index.html": html('<script type="module" src="/page.js"></script>') };
const BUNDLE = html('<script type="module" src="/bundle.js"></script>');
const COPY = "copy `dist/behest.wasm` to `dist/` beside the bundle";

async function copyModule(folder) {
  await mkdir(path.join(folder, "out/dist"), { recursive: true });
  await copyFile(
    path.join(folder, "node_modules/behest-client/dist/behest.wasm"),
    path.join(folder, "out/dist/behest.wasm"),
  );
}

export const viteDev = {
  name: "Vite, dev server",
  version: versionOf("vite"),
  async page(port) {
    const { createServer } = await import("vite");
    const server = await createServer({
      root: await project("vite-dev", PAGE),
      configFile: false,
      logLevel: "error",
      server: { host: "127.0.0.1", port, strictPort: true },
    });
    await server.listen();
    return { url: `http://127.0.0.1:${port}/`, stop: () => server.close() };
  },
};

export const viteBuild = {
  name: "Vite, build",
  version: versionOf("vite"),
  async page(port) {
    const { build } = await import("vite");
    const root = await project("vite-build", PAGE);
    await build({ root, configFile: false, logLevel: "error", build: { outDir: "out" } });
    return serveFolder(path.join(root, "out"), port);
  },
};

/** webpack and Rspack have one API. */
const packer = (name, load, label) => ({
  name: label,
  version: versionOf(name),
  async page(port) {
    const folder = await project(name.replace(/\W/g, ""), { "out/index.html": BUNDLE });
    const pack = await load();
    const stats = await new Promise((resolve, reject) => {
      const settings = {
        mode: "production",
        context: folder,
        entry: "./page.js",
        output: { path: path.join(folder, "out"), filename: "bundle.js" },
      };
      pack(settings, (error, stats) => (error ? reject(error) : resolve(stats)));
    });
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }));
    return serveFolder(path.join(folder, "out"), port);
  },
});

export const webpack = packer("webpack", async () => (await import("webpack")).default, "webpack");
export const rspack = packer("@rspack/core", async () => (await import("@rspack/core")).rspack, "Rspack");

async function withRollup(folder) {
  const { rollup: start } = await import("rollup");
  const { nodeResolve } = await import("@rollup/plugin-node-resolve");
  const bundle = await start({ input: path.join(folder, "page.js"), plugins: [nodeResolve({ browser: true })] });
  await bundle.write({ dir: path.join(folder, "out"), entryFileNames: "bundle.js" });
}

export const rollup = {
  name: "Rollup",
  version: versionOf("rollup"),
  note: `\`@rollup/plugin-node-resolve\`; ${COPY}`,
  async page(port) {
    const folder = await project("rollup", { "out/index.html": BUNDLE });
    await withRollup(folder);
    await copyModule(folder);
    return serveFolder(path.join(folder, "out"), port);
  },
};

export const esbuild = {
  name: "esbuild",
  version: () => fromTests("esbuild/package.json").version,
  note: COPY,
  async page(port) {
    const folder = await project("esbuild", { "out/index.html": BUNDLE });
    await fromTests("esbuild").build({
      entryPoints: [path.join(folder, "page.js")],
      bundle: true,
      format: "esm",
      outfile: path.join(folder, "out/bundle.js"),
    });
    await copyModule(folder);
    return serveFolder(path.join(folder, "out"), port);
  },
};

/** Nothing has to be copied for the entry with the module inside the script. */
export const rollupInline = {
  name: "Rollup, `behest-client/inline`",
  version: versionOf("rollup"),
  note: "`@rollup/plugin-node-resolve`",
  async page(port) {
    const folder = await project("rollup-inline", { "out/index.html": BUNDLE });
    await importsInline(folder);
    await withRollup(folder);
    return serveFolder(path.join(folder, "out"), port);
  },
};

export const parcel = {
  name: "Parcel",
  version: versionOf("parcel"),
  note: '`"@parcel/resolver-default": { "packageExports": true }` in package.json',
  async page(port) {
    const manifest = { name: "parcel", private: true, type: "module", "@parcel/resolver-default": { packageExports: true } };
    const folder = await project("parcel", {
      "index.html": html('<script type="module" src="./page.js"></script>'),
      "package.json": JSON.stringify(manifest),
    });
    await output(
      program("parcel"),
      ["build", "index.html", "--dist-dir", "out", "--no-cache", "--log-level", "error"],
      folder,
    );
    return serveFolder(path.join(folder, "out"), port);
  },
};
