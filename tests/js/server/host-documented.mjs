import { documented } from "./documented.mjs";

Deno.serve(documented(Deno.env.toObject()));
