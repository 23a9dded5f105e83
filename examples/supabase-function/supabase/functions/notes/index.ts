// A signed-in user reads his own rows: row level security applies.
import { withSupabase } from "behest-client/server";

Deno.serve(
  withSupabase({ auth: "user" }, async (_request, { rest }) => {
    const rows = await rest("notes?select=*");
    return Response.json(await rows.json(), { status: rows.status });
  }),
);
