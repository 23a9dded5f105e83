// Keys made for the run, the key set that publishes them, and tokens as the cases describe them.
import { createHash, createHmac, sign as signBytes, verify, constants } from "node:crypto";

import { keyPair } from "../support/key-pair.mjs";

const p256 = () => keyPair("ec", { namedCurve: "P-256" });

const SECRET = "a-shared-secret-of-at-least-thirty-two-bytes";
const keys = {
  project: p256(),
  stranger: p256(),
  rsa: keyPair("rsa", { modulusLength: 2048 }),
  narrow: keyPair("rsa", { modulusLength: 2048 }),
  weak: keyPair("rsa", { modulusLength: 1024 }),
  ed: keyPair("ed25519"),
};
/** The tenant's own key, which signs gateway tokens. */
const behest = keyPair("rsa", { modulusLength: 2048 });

const jwk = (name, kid, extra) => ({ ...keys[name].publicKey.export({ format: "jwk" }), kid, use: "sig", ...extra });

const number = (value) => Buffer.from(value.toString(16).padStart(512, "0"), "hex").toString("base64url");

/** 1 modulo each small prime, as the keys of a broken generator are known by (CVE-2017-15361). */
const roca = () => {
  const primes = [2n];
  for (let n = 3n; n <= 167n; n += 2n) if (primes.every((prime) => n % prime)) primes.push(n);
  const product = primes.reduce((all, prime) => all * prime);
  return (product << BigInt(2048 - product.toString(2).length)) + 1n;
};

/** The signature that anybody can make for a key with exponent 1: the padded hash itself (RFC 8017 section 9.2). */
const padded = (text) => {
  const hash = Buffer.concat([Buffer.from("3031300d060960864801650304020105000420", "hex"), createHash("sha256").update(text).digest()]);
  return Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(253 - hash.length, 0xff), Buffer.from([0]), hash]);
};

export const published = {
  keys: [
    jwk("project", "current", { alg: "ES256", key_ops: ["verify"] }),
    jwk("rsa", "rsa"),
    jwk("narrow", "narrow", { alg: "RS256" }),
    jwk("ed", "ed", { alg: "EdDSA" }),
    jwk("weak", "weak"),
    jwk("project", "twin"),
    jwk("stranger", "twin"),
    jwk("rsa", "sealing", { use: "enc" }),
    jwk("rsa", "deriving", { use: undefined, key_ops: ["deriveBits"] }),
    jwk("rsa", "exponent-1", { e: "AQ" }),
    jwk("rsa", "exponent-2", { e: "Ag" }),
    jwk("rsa", "roca", { n: number(roca()) }),
    jwk("project", "off-curve", { x: Buffer.alloc(32, 7).toString("base64url") }),
    jwk("project", "mixed"),
    jwk("rsa", "mixed"),
    { kty: "oct", kid: "open", alg: "HS256", k: Buffer.from(SECRET).toString("base64url") },
    null,
    { kty: "EC" },
    { kty: "quantum" },
    7,
  ],
};

const pem = (type) => behest.privateKey.export({ type, format: "pem" });

/** What the settings of cases.json may stand for. */
export const variables = {
  SECRET,
  INLINE_JWKS: JSON.stringify([
    jwk("project", "current"),
    { kty: "oct", kid: "shared", alg: "HS256", k: Buffer.from(SECRET).toString("base64url") },
  ]),
  PKCS8_BASE64: Buffer.from(pem("pkcs8")).toString("base64"),
  PKCS1_ONE_LINE: pem("pkcs1").trim().replaceAll("\n", "\\n"),
};

const encode = (text) => Buffer.from(text).toString("base64url");

const hashes = { RS256: "sha256", RS384: "sha384", RS512: "sha512", PS256: "sha256", ES256: "sha256" };

function signature(algorithm, name, text) {
  if (name === "secret" || name === "modulus") {
    const secret = name === "secret" ? SECRET : Buffer.from(published.keys[1].n, "base64url");
    return createHmac("sha256", secret).update(text).digest();
  }
  if (name === "nobody") return padded(text);
  const key = keys[name].privateKey;
  const type = key.asymmetricKeyType;
  const options = { key };
  if (type === "ec") options.dsaEncoding = "ieee-p1363";
  if (algorithm === "PS256") Object.assign(options, { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  return signBytes(type === "ed25519" ? null : (hashes[algorithm] ?? "sha256"), Buffer.from(text), options);
}

/** `"now-31"` is a time; null takes a claim away. */
function claims(changes, supabase) {
  const now = Math.floor(Date.now() / 1000);
  const usual = {
    iss: `${supabase}/auth/v1`,
    aud: "authenticated",
    sub: "7c0e3f0a-6f57-4b56-9c1b-0d5f3a9b2c11",
    role: "authenticated",
    iat: now - 10,
    exp: now + 3590,
    session_id: "f0b0",
    is_anonymous: false,
  };
  const all = { ...usual };
  for (const [name, value] of Object.entries(changes)) {
    const relative = typeof value === "string" && /^now([+-]\d+)?$/.exec(value);
    if (value === null) delete all[name];
    else if (value && typeof value === "object" && "repeat" in value) all[name] = "x".repeat(value.repeat);
    else all[name] = relative ? now + Number(relative[1] ?? 0) : value;
  }
  return all;
}

const mutations = {
  "strip signature": ([h, p]) => `${h}.${p}.`,
  "cut signature": ([h, p, s]) => `${h}.${p}.${s.slice(0, 40)}`,
  "drop signature": ([h, p]) => `${h}.${p}`,
  "fourth part": (parts) => `${parts.join(".")}.x`,
  "stray bits": ([h, p, s]) => `${h}.${p}.${s.slice(0, -1)}${{ A: "B", Q: "R", g: "h", w: "x" }[s.at(-1)]}`,
  "white space": ([h, p, s]) => `${h}. ${p}.${s}`,
  "flattened JSON": ([h, p, s]) => JSON.stringify({ protected: h, payload: p, signature: s }),
  "general JSON": ([h, p, s]) => JSON.stringify({ payload: p, signatures: [{ protected: h, signature: s }] }),
  unprotected: ([h, p, s]) => JSON.stringify({ protected: h, header: { alg: "ES256" }, payload: p, signature: s }),
  padding: (parts) => `${parts.join(".")}=`,
  "other alphabet": ([h, p]) => `${h}.${p}.+/+/`,
  "header no JSON": ([, p, s]) => `${encode("x")}.${p}.${s}`,
  "alg none": ([, p]) => `${encode('{"alg":"none"}')}.${p}.`,
  "alg nOnE": ([, p, s]) => `${encode('{"alg":"nOnE","kid":"current"}')}.${p}.${s}`,
  "exchange claims": ([h, p, s]) =>
    `${h}.${encode(JSON.stringify({ ...JSON.parse(Buffer.from(p, "base64url")), sub: "other" }))}.${s}`,
};

/** The token that a case describes. */
export function token(spec, supabase) {
  const { alg = "ES256", kid = "current", key = "project", header = {}, rawHeader, payload, mutate } = spec;
  const head = rawHeader ?? JSON.stringify({ alg, typ: "JWT", ...(kid === null ? {} : { kid }), ...header });
  const body = payload ?? JSON.stringify(claims(spec.claims ?? {}, supabase));
  const text = `${encode(head)}.${encode(body)}`;
  const whole = `${text}.${signature(alg, key, text).toString("base64url")}`;
  return mutate ? mutations[mutate](whole.split(".")) : whole;
}

/** Header and claims of a gateway token signed with the tenant's key, as written; throws if its signature is wrong. */
export function open(token) {
  const [header, payload, signature] = token.split(".");
  const good = verify("sha256", Buffer.from(`${header}.${payload}`), behest.publicKey, Buffer.from(signature, "base64url"));
  if (!good) throw new Error("the tenant's key did not sign this token");
  const text = (part) => Buffer.from(part, "base64url").toString();
  return { header: text(header), claims: text(payload) };
}
