// Another server of ours calls with the secret key named `jobs`, and reads past row level security.
import { withSupabase } from "behest-client/server";

Deno.serve(
  withSupabase({ auth: "secret:jobs" }, async (_request, { admin, authKeyName }) => {
    const counted = await admin("notes?select=id", { method: "HEAD", headers: { prefer: "count=exact" } });
    const [, notes] = (counted.headers.get("content-range") ?? "*/0").split("/");
    return Response.json({ startedBy: authKeyName, notes: Number(notes) });
  }),
);
