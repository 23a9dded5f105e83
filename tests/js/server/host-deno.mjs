import { app } from "./app.mjs";

const handle = app(JSON.parse(Deno.env.get("SETTINGS")));

Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(`listening ${port}`) }, handle);
