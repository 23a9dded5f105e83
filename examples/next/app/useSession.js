import { useEffect, useState } from "react";

import { supabase } from "./clients.js";

/** Who is signed in: null for nobody. The client hears of changes by itself; this is for the page. */
export function useSession() {
  const [session, setSession] = useState(null);
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, session) => setSession(session));
    return () => data.subscription.unsubscribe();
  }, []);
  return session;
}
