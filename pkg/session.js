import { invalidConfig } from "./error.js";

/** Where the access token comes from: the app's own callback, or its supabase-js client. */
export function sessionSource({ supabase, getAccessToken }) {
  if (typeof getAccessToken === "function") return { getAccessToken, listen: () => () => {} };
  if (!supabase?.auth) throw invalidConfig("createClient needs `supabase`, a supabase-js client, or `getAccessToken`");
  return {
    async getAccessToken() {
      const { data, error } = await supabase.auth.getSession();
      if (error) throw error;
      return data.session?.access_token ?? null;
    },
    listen(changed) {
      const { data } = supabase.auth.onAuthStateChange((_event, session) => {
        // Not inside the callback: supabase-js may wait for it, and what we do may wait for supabase-js.
        setTimeout(changed, 0, session?.access_token ?? null);
      });
      return () => data.subscription.unsubscribe();
    },
  };
}
