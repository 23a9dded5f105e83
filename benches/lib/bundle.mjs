/** Bundles for pages, as an application's bundler would: minified, the installed package among the modules. */
import { createRequire } from "node:module";
import path from "node:path";

const { build } = createRequire(new URL("../../tests/js/package.json", import.meta.url))("esbuild");

const BENCHES = path.resolve(import.meta.dirname, "..");

/** `contents` imports "behest-client" and the peers by their names, and everything else relative to `benches/`. */
export async function bundle(contents, { folder }) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: BENCHES },
    nodePaths: [path.join(folder, "node_modules"), path.join(BENCHES, "peers/node_modules")],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // What is loaded when it is first used (`lib/lazy`) is a file of its own, and no page here uses it.
    external: ["node:*", "./lazy/*"],
    legalComments: "none",
    logLevel: "warning",
    write: false,
  });
  return outputFiles[0].text;
}
