// Anybody may ask.
import { withSupabase } from "behest-client/server";

Deno.serve(withSupabase({ auth: "none" }, () => Response.json({ ok: true })));
