import { base64url } from "./base64url.js";

/** What stands before a value in base64url. */
const ENCODED = "base64-";
/** The longest value of one cookie; a longer one goes into several, `<name>.0`, `<name>.1`, … */
const LONGEST = 3180;
/** As long as browsers keep a cookie. */
const STAYS = { path: "/", sameSite: "lax", maxAge: 34_560_000 };

/** A storage in cookies, as `@supabase/ssr` writes and reads them. */
export function cookieStorage({ getAll, setAll } = pageCookies) {
  const find = (name) => getAll().find((cookie) => cookie.name === name)?.value;

  function change(name, pieces) {
    const holds = (cookie) => cookie === name || (cookie.startsWith(`${name}.`) && /^(0|[1-9]\d*)$/.test(cookie.slice(name.length + 1)));
    const gone = getAll().filter((cookie) => holds(cookie.name) && !pieces.some((piece) => piece.name === cookie.name));
    setAll([
      ...gone.map((cookie) => ({ name: cookie.name, value: "", options: { ...STAYS, maxAge: 0 } })),
      ...pieces.map((piece) => ({ ...piece, options: { ...STAYS } })),
    ]);
  }

  return {
    isPage: getAll === pageCookies.getAll,
    getItem(name) {
      let text = find(name) ?? "";
      for (let piece, at = 0; !find(name) && (piece = find(`${name}.${at}`)); at += 1) text += piece;
      return text.startsWith(ENCODED) ? decoded(text.slice(ENCODED.length)) : text || null;
    },
    setItem(name, text) {
      const value = ENCODED + base64url(new TextEncoder().encode(text));
      const count = Math.ceil(value.length / LONGEST);
      const piece = (_, at) => ({ name: count > 1 ? `${name}.${at}` : name, value: value.slice(at * LONGEST, (at + 1) * LONGEST) });
      change(name, Array.from({ length: count }, piece));
    },
    removeItem: (name) => change(name, []),
  };
}

/** The page's own. */
const pageCookies = {
  getAll: () =>
    document.cookie.split("; ").map((pair) => {
      const at = pair.indexOf("=");
      return { name: pair.slice(0, at), value: unescaped(pair.slice(at + 1)) };
    }),
  setAll(cookies) {
    for (const { name, value, options } of cookies) {
      document.cookie = `${name}=${value}; path=${options.path}; max-age=${options.maxAge}; samesite=${options.sameSite}`;
    }
  },
};

/** Anybody may have set it. */
function unescaped(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/** Nothing, if it is of two generations. */
function decoded(text) {
  try {
    const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}
