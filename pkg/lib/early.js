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
  const early = { isAsked: false, user: undefined, isOutdated: false, wall: 0, monotonic: 0, isTaken: false };
  // Not now: whoever calls in the same turn may share this reading.
  early.token = Promise.resolve().then(async () => {
    early.isAsked = true;
    const token = await read();
    // When it was known: no token may be taken for younger than it is.
    [early.wall, early.monotonic] = [Date.now(), clock.now()];
    if (mints && isUsers(token) && !early.isOutdated && early.fits(token)) {
      early.headers = { authorization: `Bearer ${token}` };
      if (apiKey !== undefined) early.headers.apikey = apiKey;
      early.controller = new AbortController();
      const { signal } = early.controller;
      const init = { method: "POST", headers: early.headers, signal, redirect: "manual" };
      early.answer = send(early, url, init).then(readBegin);
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

  /** Nobody else has signed in meanwhile, as far as was told. */
  early.fits = (token) => early.user === undefined || early.user === (token ?? null);
  /** What was read if it is still so, else what is read now. */
  early.orNow = async () => {
    const isUsable = !early.isOutdated && early.fits(await early.token) && !early.isOutdated;
    return isUsable ? early.token : read();
  };
  /** Was a token asked for with this session? */
  early.isSentFor = (token) => early.headers?.authorization === `Bearer ${token}`;
  /** Is this the request that was sent already? Nothing else goes to this URL without a body. */
  early.isFor = (target, headers, body) =>
    target === url && body === undefined && JSON.stringify(headers) === JSON.stringify(early.headers);
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
