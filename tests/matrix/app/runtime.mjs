import process from "node:process";

import { prove } from "./prove.js";

console.log(JSON.stringify(await prove(JSON.parse(process.env.SETTINGS))));
