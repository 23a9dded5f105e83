/** Bytes in base64url without padding (RFC 4648). */
export const base64url = (bytes) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))
    .replace(/=+$/, "")
    .replace(/[+/]/g, (letter) => (letter === "+" ? "-" : "_"));
