/**
 * One mint, in the process and without a network: the session (ES256) is verified, the answer is a bundle with a token signed
 * here (RS256). The same request is put to `behest-client/server` and to a function made with `jose`. Only web standards are
 * used, so that every runtime can run it.
 */
const SUPABASE = "https://ref.supabase.co";
const PAGE = "https://app.example.com";
const TTL = 900;
/** More than the module remembers: by the time one comes again, it is forgotten. */
const NEW_SESSIONS = 5000;

/** The subjects by name; each takes a count and mints so often, one after the other. */
export async function mintSubjects({ createTokenEndpoint, jose }) {
  const project = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const rsa = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };
  const tenant = await crypto.subtle.generateKey(rsa, true, ["sign", "verify"]);
  const published = { ...(await jose.exportJWK(project.publicKey)), kid: "current", alg: "ES256", use: "sig" };
  const jwks = { keys: [published] };
  const pem = await jose.exportPKCS8(tenant.privateKey);
  const sign = (sessionId) => new jose.SignJWT({
    role: "authenticated",
    email: "ada@example.com",
    session_id: sessionId,
    is_anonymous: false,
    app_metadata: { provider: "email", providers: ["email"] },
    user_metadata: { name: "Ada Lovelace" },
    aal: "aal1",
    amr: [{ method: "password", timestamp: 1_764_000_000 }],
  })
    .setProtectedHeader({ alg: "ES256", typ: "JWT", kid: "current" })
    .setIssuer(`${SUPABASE}/auth/v1`)
    .setAudience("authenticated")
    .setSubject("7c0e3f0a-6f57-4b56-9c1b-0d5f3a9b2c11")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(project.privateKey);
  const session = await sign("0b6c6a8e-58a8-4a5b-9a3e-0d9a4c0c8f11");
  const others = [];
  for (let one = 0; one < NEW_SESSIONS; one += 1) others.push(await sign(crypto.randomUUID()));

  const body = '{"session_id":"conversation-1"}';
  const headers = (session) => ({
    authorization: `Bearer ${session}`,
    "content-length": `${body.length}`,
    "content-type": "application/json",
    origin: PAGE,
  });
  const url = "https://functions.example/functions/v1/behest-token";
  const request = (session) => new Request(url, { method: "POST", headers: headers(session), body });
  const ours = createTokenEndpoint(
    {
      SUPABASE_URL: SUPABASE,
      SUPABASE_JWKS: JSON.stringify(jwks),
      BEHEST_KEY: pem,
      BEHEST_KID: "key-1",
      BEHEST_TENANT_ID: "tenant-1",
      BEHEST_PROJECT_ID: "project-1",
      CORS_ORIGIN: PAGE,
    },
    { policy: () => ({ tier: 2 }) },
  );
  const theirs = await withJose(jose, jwks, pem);

  let next = 0;
  const mint = (handle, of = () => session) => async (count) => {
    for (let done = 0; done < count; done += 1) {
      const response = await handle(request(of()));
      const bundle = await response.json();
      if (response.status !== 200 || bundle.ttl !== TTL) throw new Error(`no mint: ${JSON.stringify(bundle)}`);
    }
  };
  const signed = new TextEncoder().encode(session.slice(0, session.lastIndexOf(".")));
  const signature = jose.base64url.decode(session.slice(session.lastIndexOf(".") + 1));
  const es256 = { name: "ECDSA", hash: "SHA-256" };
  return {
    behest: mint(ours),
    jose: mint(theirs),
    "behest, new sessions": mint(ours, () => others[(next += 1) % NEW_SESSIONS]),
    verify: async (count) => {
      for (let done = 0; done < count; done += 1) {
        if (!(await crypto.subtle.verify(es256, project.publicKey, signature, signed))) throw new Error("not verified");
      }
    },
    // What nobody can do without.
    "verify and sign": async (count) => {
      for (let done = 0; done < count; done += 1) {
        if (!(await crypto.subtle.verify(es256, project.publicKey, signature, signed))) throw new Error("not verified");
        await crypto.subtle.sign(rsa.name, tenant.privateKey, signed);
      }
    },
  };
}

/** The same function as one writes it with `jose`. */
async function withJose(jose, jwks, pem) {
  const keys = jose.createLocalJWKSet(jwks);
  const key = await jose.importPKCS8(pem, "RS256");
  const cors = { "access-control-allow-origin": PAGE, vary: "origin" };
  const no = (status, error) => Response.json({ error }, { status, headers: cors });
  return async (request) => {
    if (request.headers.get("origin") !== PAGE) return no(403, "origin");
    if (request.method !== "POST") return no(405, "method");
    let claims;
    try {
      const bearer = (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
      const rules = { issuer: `${SUPABASE}/auth/v1`, audience: "authenticated" };
      ({ payload: claims } = await jose.jwtVerify(bearer, keys, rules));
    } catch {
      return no(401, "unauthorized");
    }
    const body = await request.text();
    const sid = (body && JSON.parse(body).session_id) || crypto.randomUUID();
    const iat = Math.floor(Date.now() / 1000);
    const exp = iat + TTL;
    const token = await new jose.SignJWT({
      tid: "tenant-1",
      pid: "project-1",
      uid: claims.sub,
      role: "user",
      scp: [],
      iss: "https://api.behest.ai",
      aud: "behest",
      iat,
      nbf: iat,
      exp,
      jti: crypto.randomUUID(),
      sid,
      tier: 2,
    })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: "key-1" })
      .sign(key);
    const bundle = { token, ttl: TTL, sessionId: sid, expiresAt: exp };
    return Response.json(bundle, { headers: { ...cors, "cache-control": "no-store" } });
  };
}
