//! Password hashing, off the async threads and never more than a few at once.

use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, Result, anyhow};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Each hash takes 8 MiB: enough to matter to a thief, little enough for a laptop.
const MEMORY_KIB: u32 = 8 * 1024;
const ROUNDS: u32 = 2;
const AT_ONCE: usize = 2;

/// Hashes and checks passwords with Argon2id. Clones share the limit.
#[derive(Clone, Debug)]
pub(crate) struct Hasher(Arc<Semaphore>);

impl Default for Hasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, ROUNDS, 1, None).map_err(|why| anyhow!("Argon2 parameters: {why}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String> {
    let hash = argon2()?.hash_password(password.as_bytes()).map_err(|why| anyhow!("hashing a password: {why}"))?;
    Ok(hash.to_string())
}

fn fits(password: &str, stored: &str) -> bool {
    let parsed = PasswordHash::new(stored);
    parsed.is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

/// Checked when the user is unknown, so that the answer takes as long as for a known one.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash(&crate::domain::random::hex_key().ok()?).ok());

impl Hasher {
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        self.work(move || hash(&password)).await?
    }

    /// Is this the password? `stored` is `None` for a user who is unknown or has none.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool> {
        self.work(move || {
            let known = stored.is_some();
            let stored = stored.or_else(|| NOBODY.clone()).unwrap_or_default();
            fits(&password, &stored) && known
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = self.0.clone().acquire_owned().await?;
        let done = tokio::task::spawn_blocking(move || {
            // The permit goes with the work: a caller who hangs up does not free it early.
            let _permit = permit;
            work()
        });
        done.await.context("the hashing task was lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_only_its_own_hash() {
        let hasher = Hasher::default();
        let stored = hasher.hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8192,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hasher.hash("correct horse".into()).await.unwrap(), "every hash has its own salt");
        let check =
            |password: &str, stored: Option<&str>| hasher.verify(password.to_owned(), stored.map(str::to_owned));
        assert!(check("correct horse", Some(&stored)).await.unwrap());
        assert!(!check("battery staple", Some(&stored)).await.unwrap());
        assert!(!check("correct horse", None).await.unwrap());
        assert!(!check("correct horse", Some("not a hash")).await.unwrap());
    }
}
