import { invalidConfig, words } from "./error.js";

/** supabase-js refreshes a session that has less left. */
const REFRESH_MS = 90_000;

/** Where the access token comes from: the app's own callback, or its supabase-js client. */
export function sessionSource({ supabase, getAccessToken }) {
  if (getAccessToken) return { read: async () => getAccessToken(), reports: false, listen: () => () => {} };
  let told;
  return {
    async read() {
      // Not asked for again: whoever calls from a callback of supabase-js may hold what it would have to wait for. Where a
      // refresh is due, it does that.
      if (told?.expires_at * 1000 - REFRESH_MS > Date.now()) return told.access_token;
      const { data, error } = await supabase.auth.getSession();
      if (error) throw error;
      return data.session?.access_token;
    },
    /** It tells of every change by itself, so it need not be asked at every call. */
    reports: true,
    listen(changed) {
      const { data } = listenTo(supabase.auth, (_event, session) => {
        told = session;
        changed(session?.access_token);
      });
      return () => {
        told = undefined;
        data.subscription.unsubscribe();
      };
    },
  };
}

function listenTo(auth, heard) {
  try {
    return auth.onAuthStateChange(heard);
  } catch (cause) {
    // One that is given tokens (its own `accessToken`) signs nobody in.
    throw invalidConfig(`supabase does not tell who is signed in, give getAccessToken instead: ${words(cause)}`);
  }
}
