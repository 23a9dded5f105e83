import { decodeToken } from "../token.js";

const CHECK = "the token is as it should be";
/** More than this, and other things than this client go wrong. */
const LARGEST_SKEW_S = 120;
/** Shorter, and a page mints with nearly every call. */
const SHORTEST_LIFE_S = 60;

/** What the gateway's token says about itself, unverified. */
export function checkClaims(report, token) {
  if (!token) return report.skip(CHECK, "there is no token");
  let claims;
  try {
    claims = decodeToken(token);
  } catch {
    return report.fail(
      CHECK,
      "it is no JWT",
      "The token function must hand on the gateway's token (`token` in its reply) as it is.",
    );
  }
  const { exp, iat, iss, role, uid } = claims;
  const now = Date.now() / 1000;
  const skew = Math.round(now - iat);
  if (typeof exp !== "number")
    return report.fail(CHECK, "it never expires: it has no `exp`", "Mint with a ttl of 60 to 86400 seconds.");
  if (typeof iat === "number" && Math.abs(skew) > LARGEST_SKEW_S) {
    const where = skew > 0 ? "ahead" : "behind";
    return report.fail(
      CHECK,
      `this machine's clock is ${Math.abs(skew)} s ${where} of the minting server's`,
      "Set the clock that is wrong.",
    );
  }
  if (typeof iat === "number" && exp - iat < SHORTEST_LIFE_S) {
    return report.fail(CHECK, `it lives only ${exp - iat} s`, "Mint with a ttl of 60 to 86400 seconds; 900 is usual.");
  }
  if (role !== undefined && role !== "user") {
    return report.fail(
      CHECK,
      `its role is ${role}: it may do more than a user should`,
      "Leave out `role` where the function mints.",
    );
  }
  if (uid === "default")
    return report.fail(CHECK, "its user is `default`, as for everybody", "Mint with user_id set to the session's user.");
  report.pass(CHECK, [iss && `issuer ${iss}`, exp && iat && `${exp - iat} s`].filter(Boolean).join(", ") || undefined);
}
