// A use of the server's entry, as functions and Workers have it.
import { createSupabaseContext, createTokenEndpoint, verifyWebhook, withSupabase } from "behest-client/server";
import type { AuthMode, BehestError, Environment, Grant, SupabaseContext, TokenEndpointOptions } from "behest-client/server";

/** As `wrangler types` writes it: an interface, which has no index signature. */
interface Env {
  readonly SUPABASE_URL: string;
  readonly BEHEST_KEY?: string;
  readonly NOTES: { get(key: string): Promise<string | null> };
}
declare const env: Env;
declare const variables: Record<string, string | undefined>;

const options: TokenEndpointOptions = {
  corsOrigin: ["https://app.example.com"],
  supabasePublishableKeys: { default: "sb_publishable_…" },
  behestTtl: 900,
  policy: async (user): Promise<Grant> => ({ tier: user.sub === "ada" ? 2 : 1, ttlSecs: 60 }),
};
export const endpoints = [createTokenEndpoint(), createTokenEndpoint(env), createTokenEndpoint(variables, options)];

const modes = ["user", "secret:jobs", "none"] as const satisfies readonly AuthMode[];
const notes = withSupabase({ env, auth: modes }, async (_request, { rest }: SupabaseContext, { NOTES }: Env) => {
  const rows = await rest("notes?select=*");
  return new Response((await NOTES.get("greeting")) ?? (await rows.text()), { status: rows.status });
});

export default {
  fetch: (request: Request, env: Env): Promise<Response> => notes(request, env),
};

export async function caller(request: Request, environment: Environment): Promise<string> {
  // Of error and data one is there, and the compiler knows.
  const { data, error } = await createSupabaseContext(request, { env: environment, auth: "user" });
  if (error) return (error satisfies BehestError).reason;
  return data.userClaims?.id ?? data.authMode;
}

export async function paid(request: Request): Promise<[string, string | undefined]> {
  const { body, id } = await verifyWebhook(request, { sender: "stripe", secret: variables["STRIPE_WEBHOOK_SECRET"] });
  return [body, id];
}
