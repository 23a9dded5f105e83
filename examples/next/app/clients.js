import { createClient as createSupabase } from "@supabase/supabase-js";
import { createClient } from "behest-client";

// Next.js puts these in by their full names.

export const supabase = createSupabase(
  process.env.NEXT_PUBLIC_SUPABASE_URL,
  process.env.NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY,
);
export const behest = createClient({ supabase, behestUrl: process.env.NEXT_PUBLIC_BEHEST_URL });
