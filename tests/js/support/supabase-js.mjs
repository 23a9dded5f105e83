import path from "node:path";

import { build } from "esbuild";

/** The real supabase-js as one module for a page. */
export async function supabaseModule() {
  const stdin = {
    contents: 'export { createClient } from "@supabase/supabase-js";',
    resolveDir: path.resolve(import.meta.dirname, ".."),
  };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", platform: "browser", target: "es2022", write: false });
  return outputFiles[0].text;
}
