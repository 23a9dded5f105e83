// Test runners: the application's own tests import the package.
import { readFile } from "node:fs/promises";
import path from "node:path";

import { output, program, project, versionOf } from "../project.mjs";

const TEST = `import { writeFile } from "node:fs/promises";
import { prove } from "./prove.js";
test("it works", async () => {
  const result = await prove(JSON.parse(process.env.SETTINGS));
  await writeFile("result.json", JSON.stringify(result));
}, 30_000);
`;

const result = async (folder) => JSON.parse(await readFile(path.join(folder, "result.json"), "utf8"));

export const vitest = {
  name: "vitest",
  version: versionOf("vitest"),
  async run(settings) {
    const folder = await project("vitest", {
      "prove.test.js": `import { test } from "vitest";\n${TEST}`,
      "vitest.config.js": "export default {};\n",
    });
    await output(program("vitest"), ["run", "--root", folder], folder, settings);
    return result(folder);
  },
};

export const jest = {
  name: "jest",
  version: versionOf("jest"),
  note: "`node --experimental-vm-modules`, as for every ES module",
  async run(settings) {
    const folder = await project("jest", {
      "prove.test.js": TEST,
      "jest.config.js": "export default { transform: {}, rootDir: import.meta.dirname };\n",
    });
    await output(
      process.execPath,
      ["--experimental-vm-modules", program("jest"), "--config", "jest.config.js"],
      folder,
      settings,
    );
    return result(folder);
  },
};
