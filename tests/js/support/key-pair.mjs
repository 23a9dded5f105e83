import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";

/**
 * A new pair of keys, read from their bytes. The objects that `generateKeyPairSync` gives share a lock with what has made them,
 * and Node.js 20 waits for itself for ever if it collects that while one of them is exported as a JWK.
 */
export function keyPair(type, options) {
  const { publicKey, privateKey } = generateKeyPairSync(type, {
    ...options,
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  return {
    publicKey: createPublicKey({ key: publicKey, type: "spki", format: "der" }),
    privateKey: createPrivateKey({ key: privateKey, type: "pkcs8", format: "der" }),
  };
}
