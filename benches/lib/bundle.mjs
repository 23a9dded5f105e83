/** Bundles for pages, as an application's bundler would: minified, the installed package among the modules. */
import { createRequire } from "node:module";
import path from "node:path";

const { build } = createRequire(new URL("../../tests/js/package.json", import.meta.url))("esbuild");

/** `contents` imports "behest-client" by its name, and everything else relative to `benches/`. */
export async function bundle(contents, { folder }) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: path.resolve(import.meta.dirname, "..") },
    nodePaths: [path.join(folder, "node_modules")],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    external: ["node:*"],
    legalComments: "none",
    logLevel: "warning",
    write: false,
  });
  return outputFiles[0].text;
}
