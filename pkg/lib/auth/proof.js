import { base64url } from "./base64url.js";

/**
 * Proof that whoever comes back is who left (RFC 7636): a new verifier, and what is shown of it beforehand. A page without HTTPS has
 * no hashes; there, as supabase-js does, the verifier itself is shown to the project.
 */
export async function proof() {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  const { subtle } = crypto;
  if (!subtle) return { verifier, code_challenge: verifier, code_challenge_method: "plain" };
  const hash = await subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  return { verifier, code_challenge: base64url(new Uint8Array(hash)), code_challenge_method: "s256" };
}
