/** The packages that behest-client is measured against, at the versions of the lock file beside this one. */
export { createClient as createSupabase } from "@supabase/supabase-js";
export { createParser } from "eventsource-parser";
export { default as OpenAI } from "openai";
