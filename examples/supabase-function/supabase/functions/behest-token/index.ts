// Exchanges the user's Supabase session for a Behest token.
import { createTokenEndpoint } from "behest-client/server";

Deno.serve(createTokenEndpoint());
