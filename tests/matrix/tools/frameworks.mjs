// Frameworks that render on a server first.

import { output, program, project, versionOf } from "../project.mjs";
import { serveProgram } from "../serve.mjs";

export const next = {
  name: "Next.js, app router",
  version: versionOf("next"),
  note: "in a client component",
  async page(port) {
    const folder = await project("next", {
      "app/layout.jsx":
        'export default function Layout({ children }) { return <html lang="en"><body>{children}</body></html>; }\n',
      "app/page.jsx": `"use client";
import { useEffect } from "react";
import { useBehestChat } from "behest-client/react";
import { prove } from "../prove.js";
export default function Page() {
  useEffect(() => {
    const settings = JSON.parse(new URLSearchParams(location.search).get("settings") ?? "null");
    if (settings) prove(settings).catch((error) => ({ error: String(error) })).then((result) => (document.body.dataset.result = JSON.stringify(result)));
  }, []);
  return <p>{typeof useBehestChat}</p>;
}
`,
      "next.config.mjs": `import path from "node:path";
export default { turbopack: { root: path.resolve("../..") }, outputFileTracingRoot: path.resolve("../..") };
`,
    });
    await output(program("next"), ["build"], folder, { NODE_ENV: "production" });
    return serveProgram(process.execPath, [program("next"), "start", "--hostname", "127.0.0.1", "--port", String(port)], {
      cwd: folder,
      port,
      env: { NODE_ENV: "production" },
    });
  },
};

export const svelteKit = {
  name: "SvelteKit",
  version: versionOf("@sveltejs/kit"),
  async page(port) {
    const folder = await project("sveltekit", {
      "svelte.config.js": 'import adapter from "@sveltejs/adapter-node";\nexport default { kit: { adapter: adapter() } };\n',
      "vite.config.js": 'import { sveltekit } from "@sveltejs/kit/vite";\nexport default { plugins: [sveltekit()] };\n',
      "src/app.html": '<!doctype html><html lang="en"><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>\n',
      "src/routes/+page.svelte": `<script>
  import { onMount } from "svelte";
  import { prove } from "../../prove.js";
  onMount(() => {
    const settings = JSON.parse(new URLSearchParams(location.search).get("settings"));
    prove(settings).catch((error) => ({ error: String(error) })).then((result) => (document.body.dataset.result = JSON.stringify(result)));
  });
</script>
<p>matrix</p>
`,
    });
    await output(program("vite"), ["build", "--logLevel", "error"], folder);
    return serveProgram(process.execPath, ["build/index.js"], {
      cwd: folder,
      port,
      env: { HOST: "127.0.0.1", PORT: String(port) },
    });
  },
};
