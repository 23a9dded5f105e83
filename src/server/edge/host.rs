//! What the host does for the module: `pkg/server-host.js`.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(js_namespace = host)]
extern "C" {
    /// Milliseconds since the Unix epoch.
    pub(super) fn now() -> f64;

    #[wasm_bindgen(js_name = randomUuid)]
    pub(super) fn random_uuid() -> String;

    /// `level`: `error`, `warn` or `info`.
    pub(super) fn log(level: &str, line: &str);

    /// The parts of an absolute URL, one a line: href, scheme, host, origin, `1` or nothing for a login, the same for a query or
    /// fragment. Nothing of anything else: each host has other words for what is wrong, and some repeat the text.
    pub(super) fn url(text: &str) -> String;

    /// Keeps a key: `raw` or `pkcs8` bytes, or an RSA public key by `n` and `e` in base64url. Imported when first used.
    #[wasm_bindgen(js_name = keepKey)]
    pub(super) fn keep_key(format: &str, bytes: &[u8], n: &str, e: &str) -> u32;

    #[wasm_bindgen(js_name = forgetKey)]
    pub(super) fn forget_key(key: u32);

    // Each begins the operation of this id; `resume` says that it is done.

    /// Code 1 if the signature is right, 2 if the key cannot be used. `algorithm` by its name in a JWT.
    pub(super) fn verify(id: u32, key: u32, algorithm: &str, signature: &[u8], message: &[u8]);

    /// RS256. Code 1 and the signature, or 0.
    pub(super) fn sign(id: u32, key: u32, message: &[u8]);

    /// The status as the code, `Retry-After` as the text, and the body; or one of the codes of `client.rs`.
    pub(super) fn fetch(id: u32, method: &str, url: &str, headers: &str, body: &[u8], deadline_ms: u32, limit: u32);

    /// Asks the policy of this number. Code 1 and its grant as JSON, or 0 and what it threw. A grant that is there at once is
    /// given back at once.
    pub(super) fn decide(id: u32, policy: u32, claims: &str) -> Option<String>;

    /// Nobody will ask it any more.
    #[wasm_bindgen(js_name = forgetPolicy)]
    pub(super) fn forget_policy(policy: u32);

    pub(super) fn sleep(id: u32, millis: u32);

    /// Nobody waits for the operation any more.
    pub(super) fn cancel(id: u32);

    // Each ends the call of this number.

    pub(super) fn answer(call: u32, status: u16, headers: &str, body: &str);

    /// With a value, as JSON.
    pub(super) fn resolve(call: u32, value: &str);

    /// With an error, as JSON.
    pub(super) fn reject(call: u32, error: &str);
}
