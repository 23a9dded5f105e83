// The same program on every runtime: `/{name}/…` is the token endpoint with the settings of that name.
import { createTokenEndpoint } from "behest-client/server";

export function app(settings) {
  const endpoints = Object.fromEntries(
    Object.entries(settings).map(([name, variables]) => [name, createTokenEndpoint(variables)]),
  );
  return (request) => {
    const [, name] = new URL(request.url).pathname.split("/");
    return endpoints[name]?.(request) ?? new Response("no such settings", { status: 421 });
  };
}
