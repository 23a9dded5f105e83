import { readAhead, readerOf } from "./body.js";
import { decodeToken } from "./token.js";

/**
 * What the first call needs in any case, begun while the module is on its way: the session is read, and a token asked for.
 * The engine still decides. What it does not ask for in the same words is thrown away.
 *
 * `read` gives the user's access token, `send` a response; `mints` says whether the call will ask for a token of the client's
 * own session.
 */
export function beginEarly({ read, send, config, mints, clock }) {
  const { functionUrl: url, apiKey } = config;
  const early = { wall: 0, monotonic: 0 };
  /** Nobody else has signed in meanwhile, as far as was told. */
  const isStill = (token) => !early.isOutdated && (early.user === undefined || early.user === (token ?? null));
  // Not now: whoever calls in the same turn may share this reading.
  early.token = Promise.resolve().then(async () => {
    early.isAsked = true;
    const token = await read();
    // When it was known: no token may be taken for younger than it is.
    [early.wall, early.monotonic] = [Date.now(), clock.now()];
    if (mints && isUsers(token) && isStill(token)) {
      const headers = { authorization: `Bearer ${token}` };
      if (apiKey !== undefined) headers.apikey = apiKey;
      early.sentFor = token;
      early.controller = new AbortController();
      const { signal } = early.controller;
      early.answer = send(early, url, { method: "POST", headers, signal, redirect: "manual" }).then(readBegin);
      early.answer.catch(() => {});
    }
    return token;
  });
  early.token.catch(() => {});

  function readBegin(response) {
    try {
      early.reader = readAhead(readerOf(response.body));
    } catch {
      // Whoever takes it finds out.
    }
    return response;
  }

  /** What was read if it is still so, else what is read now. */
  early.orNow = async () => (!early.isOutdated && isStill(await early.token) ? early.token : read());
  /** What nobody took is not wanted. */
  early.discard = () => {
    early.isOutdated = true;
    if (!early.isTaken) early.controller?.abort();
  };
  return early;
}

/** Surely the access token of a user, and no key. */
function isUsers(token) {
  try {
    return /^[\w.-]+$/.test(token) && !/^(anon|service_role)$/.test(decodeToken(token).role);
  } catch {
    return false;
  }
}
