import { failure } from "./error.js";

/** The claims of a token, unverified: for display and debugging, never for a decision. */
export function decodeToken(token) {
  try {
    const [, payload, , more] = token.split(".");
    // Through bytes: names and e-mail addresses are UTF-8.
    const binary = more === undefined && atob(payload.replace(/-/g, "+").replace(/_/g, "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (character) => character.charCodeAt(0))));
    if (typeof claims === "object" && !Array.isArray(claims) && claims) return claims;
    throw new TypeError("its claims are no object");
  } catch (cause) {
    throw failure("malformed_token", "this is no JWT", cause);
  }
}

export const randomBytes = () => crypto.getRandomValues(new Uint8Array(16));

/** A new session id: a random UUID, also where `crypto.randomUUID` is missing (pages without HTTPS). */
export function generateSessionId() {
  const bytes = randomBytes();
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
