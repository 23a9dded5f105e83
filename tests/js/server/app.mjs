// The same program on every runtime. `/{name}/…` is a token endpoint, a guard or a webhook of that name in cases.json.
import { createTokenEndpoint, verifyWebhook, withSupabase } from "behest-client/server";

const each = (table, make) => Object.fromEntries(Object.entries(table).map(([name, options]) => [name, make(options)]));

// Not Response.json: the content types that runtimes give it differ.
const headers = { "content-type": "application/json", "cache-control": "no-store", "x-content-type-options": "nosniff" };
const json = (value, status = 200) => new Response(JSON.stringify(value), { status, headers });

const guard = (options) =>
  withSupabase(options, (_, { authMode, authType, authKeyName, userClaims }) =>
    json({ authMode, authType, authKeyName: authKeyName ?? null, sub: userClaims?.id ?? null }),
  );

const webhook = (options) => async (request) => {
  try {
    const { id, signedAt, body } = await verifyWebhook(request, options);
    return json({ id: id ?? null, signedAt: signedAt ?? null, body });
  } catch ({ reason, hint, status }) {
    return json({ error: { code: reason, message: "refused", hint } }, status);
  }
};

export function app({ settings, guards, webhooks }) {
  const handlers = { ...each(settings, createTokenEndpoint), ...each(guards, guard), ...each(webhooks, webhook) };
  return (request) => {
    const [, name] = new URL(request.url).pathname.split("/");
    return handlers[name]?.(request) ?? new Response("no such handler", { status: 421 });
  };
}
