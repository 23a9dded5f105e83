/** Where the access token comes from: the app's own callback, or its supabase-js client. */
export function sessionSource({ supabase, getAccessToken }) {
  if (getAccessToken) return { read: async () => getAccessToken(), reports: false, listen: () => () => {} };
  return {
    async read() {
      const { data, error } = await supabase.auth.getSession();
      if (error) throw error;
      return data.session?.access_token;
    },
    /** It tells of every change by itself, so it need not be asked at every call. */
    reports: true,
    listen(changed) {
      const { data } = supabase.auth.onAuthStateChange((_event, session) => {
        // Not inside the callback, which others may be called after; but before whoever waits for supabase-js goes on.
        queueMicrotask(() => changed(session?.access_token));
      });
      return () => data.subscription.unsubscribe();
    },
  };
}
