import { env } from "cloudflare:workers";
import { createTokenEndpoint, withSupabase } from "behest-client/server";

const token = createTokenEndpoint(env);

const me = withSupabase({ env, auth: "user" }, (request, { userClaims }) => Response.json({ id: userClaims.id }));

export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/me") return me(request);
    return token(request);
  },
};
