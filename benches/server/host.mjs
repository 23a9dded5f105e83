/** Everything of one runtime, for mints in the process: `/mints/{name}/{count}`; anything else is a request for the function. */
import { createTokenEndpoint } from "behest-client/server";
import * as jose from "jose";

import { documented } from "../../tests/js/server/documented.mjs";
import { mintSubjects } from "./mints.mjs";

const makers = { behest: createTokenEndpoint, documented };

export function host(env) {
  let handle, subjects;
  return async (request) => {
    const [, mints, name, count] = decodeURIComponent(new URL(request.url).pathname).split("/");
    if (mints !== "mints") return (handle ??= makers[env.SUBJECT](env))(request);
    subjects ??= await mintSubjects({ createTokenEndpoint, jose });
    await subjects[name](Number(count));
    return new Response("minted");
  };
}
