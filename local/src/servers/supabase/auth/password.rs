//! Password hashing, off the async threads and never more than a few at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{mpsc, oneshot};

/// Each hash takes 8 MiB: enough to matter to a thief, little enough for a laptop.
const MEMORY_KIB: u32 = 8 * 1024;
const ROUNDS: u32 = 2;
const AT_ONCE: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and checks passwords with Argon2id, on threads of its own: each thread that ever hashes keeps the memory, and the
/// runtime has hundreds. Clones share the threads, which end with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Hasher(mpsc::Sender<Job>);

impl Hasher {
    pub(crate) fn new() -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(AT_ONCE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..AT_ONCE {
            let queue = Arc::clone(&queue);
            let work = move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    let Some(job) = job else { break };
                    // Whoever waits for it hears that it was lost.
                    drop(catch_unwind(AssertUnwindSafe(job)));
                }
            };
            thread::Builder::new().name("password".to_owned()).spawn(work).context("starting a thread")?;
        }
        Ok(Self(jobs))
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

/// Can passwords be checked against this?
pub(super) fn is_hash(text: &str) -> bool {
    text.starts_with("$argon2") && PasswordHash::new(text).is_ok_and(|hash| hash.hash.is_some())
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
        let (done, result) = oneshot::channel();
        let job = Box::new(move || drop(done.send(work())));
        self.0.send(job).await.ok().context("the hashing threads are gone")?;
        result.await.context("the hashing task was lost")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_password_fits_only_its_own_hash() {
        let hasher = Hasher::new().unwrap();
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

    #[tokio::test]
    async fn a_crowd_is_served_by_two_threads() {
        let hasher = Hasher::new().unwrap();
        let ids = (0..50).map(|_| hasher.work(|| thread::current().id()));
        let ids: HashSet<_> = join_all(ids).await.into_iter().map(Result::unwrap).collect();
        assert!(ids.len() <= AT_ONCE, "{ids:?}");
        let lost: Result<()> = hasher.work(|| panic!("lost")).await;
        assert!(lost.is_err());
        assert!(hasher.work(|| ()).await.is_ok(), "and goes on after a job that failed");
    }
}
