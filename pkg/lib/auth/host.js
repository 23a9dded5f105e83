import { words } from "../error.js";

/** What gives the storage, by the number of its project. */
export const storages = new Map();

/** What the module calls while it runs: `src/js/auth/host.rs` tells what each function is. */
const host = {
  read(face, name) {
    try {
      const text = storages.get(face)().getItem(name);
      if (text == null) return "";
      // One that answers later is none.
      return typeof text === "string" ? `=${text}` : "!";
    } catch (thrown) {
      return `!${words(thrown)}`;
    }
  },
  write(face, name, text) {
    try {
      const storage = storages.get(face)();
      if (text === undefined) storage.removeItem(name);
      else storage.setItem(name, text);
      return true;
    } catch {
      return false;
    }
  },
};

/** The glue of the module with sign-in, which has a host. */
export const hosted = (createGlue) => (guard) => createGlue(guard, host);
