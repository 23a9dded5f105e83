import { app } from "./app.mjs";

let handle;

export default {
  fetch(request, env) {
    handle ??= app(JSON.parse(env.SETTINGS));
    return handle(request);
  },
};
