import { app } from "./app.mjs";

const handle = app(JSON.parse(process.env.SETTINGS));

// Bun's own limit would cut a slow request off before the endpoint has answered it.
const server = Bun.serve({ hostname: "127.0.0.1", port: 0, idleTimeout: 60, fetch: handle });
console.log(`listening ${server.port}`);
