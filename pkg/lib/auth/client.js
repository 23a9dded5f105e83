import { clientFactory } from "../client.js";
import { invalidConfig } from "../error.js";
import { baseUrl, isPublishable } from "../options.js";
import { moduleLoaders } from "../wasm.js";
import { authOver } from "./auth.js";
import { authDriver } from "./driver.js";
import { hosted } from "./host.js";

/** `createClient` with sign-in of its own, over a way to compile the module that has it. */
export function authClientFactory(createGlue, compile) {
  const loaderOf = moduleLoaders(hosted(createGlue), compile);
  const createPlain = clientFactory(loaderOf);

  return function createClient(options) {
    const { url, publishableKey, storageKey = usualStorageKey(options.url), detectSessionInUrl, ...rest } = checked(options);
    const { storage, sharing } = placeOf(options);
    const config = { url: baseUrl(url), key: publishableKey, storageKey };
    const isShared = sharing === "page";
    const open = (told) => authDriver({ load: loaderOf(options), config, isShared, storage, fetch: options.fetch, told });
    const isPage = typeof document !== "undefined";
    const { auth, driver, listen } = authOver(open, config.url, isPage && detectSessionInUrl !== false);
    const { getSession } = auth;
    const source =
      sharing === "untold" || options.storage
        ? { getAccessToken: async () => sessionOf(await getSession())?.access_token, supabaseUrl: url }
        : { supabase: { supabaseUrl: url, auth: { getSession, onAuthStateChange: (callback) => listen(callback, true) } } };
    const client = createPlain({ ...rest, ...source });
    const { close } = client;
    return Object.assign(client, {
      auth,
      close() {
        close();
        driver.close();
      },
    });
  };
}

/** supabase-js has the session there, too. */
const usualStorageKey = (url) => `sb-${new URL(url).hostname.split(".")[0]}-auth-token`;

function sessionOf({ data, error }) {
  if (error) throw error;
  return data.session;
}

/** Every problem of what is said here, at once; `behest-client` itself checks the rest. */
function checked(options) {
  const { url, publishableKey, storage, storageKey, supabase, getAccessToken } = options ?? {};
  const problems = [];
  const check = (isRight, problem) => isRight || problems.push(problem);
  check(typeof url === "string" && baseUrl(url), "the option url must be the project's URL, https://<ref>.supabase.co");
  check(
    typeof publishableKey === "string" && isPublishable(publishableKey),
    "the option publishableKey must be the project's publishable key, and no secret one",
  );
  check(!supabase && !getAccessToken, "`supabase` and `getAccessToken` are options of `behest-client`");
  const isStorage = ["getItem", "setItem", "removeItem"].every((name) => typeof storage?.[name] === "function");
  check(storage === undefined || isStorage, "the option storage must have getItem, setItem and removeItem");
  check(storageKey === undefined || typeof storageKey === "string", "the option storageKey must be a string");
  if (problems.length > 0) throw invalidConfig(problems.join("; "));
  return options;
}

/** Where the session is kept, and who else reads and writes it. */
function placeOf({ storage }) {
  // The page's cookies have the page's channel; but a server changes them, too.
  if (storage) return { storage: () => storage, sharing: storage.isPage ? "page" : "untold" };
  // One that is forbidden fails when it is looked for, and the session is in memory then.
  if (typeof document !== "undefined") return { storage: () => localStorage, sharing: "page" };
  const kept = new Map();
  const memory = { getItem: (name) => kept.get(name), setItem: (...entry) => kept.set(...entry), removeItem: (name) => kept.delete(name) };
  return { storage: () => memory, sharing: "nobody" };
}
