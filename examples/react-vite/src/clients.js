import { createClient as createSupabase } from "@supabase/supabase-js";
import { createClient } from "behest-client";

const { VITE_SUPABASE_URL, VITE_SUPABASE_PUBLISHABLE_KEY, VITE_BEHEST_URL } = import.meta.env;

export const supabase = createSupabase(VITE_SUPABASE_URL, VITE_SUPABASE_PUBLISHABLE_KEY);
export const behest = createClient({ supabase, behestUrl: VITE_BEHEST_URL });
