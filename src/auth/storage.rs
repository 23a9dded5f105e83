//! Where a session is kept between two visits.

#[cfg(feature = "auth")]
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(feature = "auth")]
use crate::platform::page;
use crate::platform::{MaybeSend, MaybeSync};
#[cfg(feature = "auth")]
use crate::text::{cut, find};
#[cfg(feature = "auth")]
use crate::{Error, Reason};

/// A place for a few texts, by name. In browsers it is `localStorage`, natively memory, unless you give another one: a file
/// with narrow rights, say, or the system's keyring.
///
/// ```
/// use std::{fs, io, path::PathBuf};
///
/// use behest_client::auth::{Storage, StorageError};
///
/// /// One that only its owner may read: what lies there are tokens.
/// struct Folder(PathBuf);
///
/// impl Storage for Folder {
///     fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
///         match fs::read_to_string(self.0.join(name)) {
///             Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
///             read => Ok(Some(read?)),
///         }
///     }
///
///     fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
///         Ok(fs::write(self.0.join(name), value)?)
///     }
///
///     fn remove(&self, name: &str) -> Result<(), StorageError> {
///         match fs::remove_file(self.0.join(name)) {
///             Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
///             removed => Ok(removed?),
///         }
///     }
/// }
/// ```
///
/// Once it fails, what is stored from then on stays in memory: a full or forbidden storage signs nobody out before the page
/// is closed.
pub trait Storage: MaybeSend + MaybeSync + 'static {
    /// What is stored under this name.
    ///
    /// # Errors
    /// If the storage cannot be read.
    fn get(&self, name: &str) -> Result<Option<String>, StorageError>;

    /// Stores a text in place of what was there.
    ///
    /// # Errors
    /// If the storage cannot be written.
    fn set(&self, name: &str, value: &str) -> Result<(), StorageError>;

    /// Removes what is there, if something is.
    ///
    /// # Errors
    /// If the storage cannot be written.
    fn remove(&self, name: &str) -> Result<(), StorageError>;
}

/// Why a storage failed, in its own words.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// A storage that ends with the program. Clones are the same storage.
#[cfg(feature = "auth")]
#[derive(Clone, Default)]
pub struct MemoryStorage(Arc<Mutex<Memory>>);

#[cfg(feature = "auth")]
impl MemoryStorage {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

#[cfg(feature = "auth")]
impl Storage for MemoryStorage {
    fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
        Ok(lock(&self.0).read(name))
    }

    fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
        lock(&self.0).write(name, Some(value));
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        lock(&self.0).write(name, None);
        Ok(())
    }
}

/// What is stored holds tokens.
#[cfg(feature = "auth")]
impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStorage").finish_non_exhaustive()
    }
}

/// Names and texts: so few that a search is quickest.
#[derive(Default)]
struct Memory(Vec<(String, String)>);

impl Memory {
    fn read(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn write(&mut self, name: &str, value: Option<&str>) {
        if let Some(place) = self.0.iter().position(|(known, _)| known == name) {
            self.0.swap_remove(place);
        }
        if let Some(value) = value {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of the session that supabase-js has, too: the host's first label says which project it is.
#[cfg(feature = "auth")]
pub(super) fn usual_storage_key(url: &str) -> String {
    let host = find(url, "://").and_then(|at| url.get(at + 3..)).unwrap_or(url);
    // The colons in brackets are an address's own.
    let start = if host.starts_with('[') { find(host, "]").unwrap_or(0) } else { 0 };
    let is_end = |(at, byte): (usize, u8)| at >= start && matches!(byte, b'/' | b':' | b'.');
    let end = host.bytes().enumerate().position(is_end).unwrap_or(host.len());
    ["sb-", &cut(host, 0, end).to_ascii_lowercase(), "-auth-token"].concat()
}

/// The page's `localStorage`, which all its tabs and supabase-js share.
#[cfg(feature = "auth")]
pub(super) struct PageStorage;

#[cfg(feature = "auth")]
impl Storage for PageStorage {
    fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
        page::stored(name).map_err(unavailable)
    }

    fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
        page::store(name, value).map_err(unavailable)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        page::remove(name).map_err(unavailable)
    }
}

#[cfg(feature = "auth")]
fn unavailable(why: String) -> StorageError {
    Error::new(Reason::InvalidConfig, why).into()
}

/// A storage, and the memory that stands in for it once it has failed.
pub(crate) struct Kept {
    storage: Box<dyn Storage>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    memory: Memory,
    has_failed: bool,
}

impl Kept {
    pub(crate) fn new(storage: Box<dyn Storage>) -> Self {
        Self { storage, state: Mutex::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        let stored = self.works().then(|| self.storage.get(name)).and_then(|read| self.noted(read));
        let mut state = lock(&self.state);
        match stored {
            // What was there last is what a later failure leaves.
            Some(stored) => {
                state.memory.write(name, stored.as_deref());
                stored
            }
            None => state.memory.read(name),
        }
    }

    pub(super) fn set(&self, name: &str, value: Option<&str>) {
        lock(&self.state).memory.write(name, value);
        if self.works() {
            let written = match value {
                Some(value) => self.storage.set(name, value),
                None => self.storage.remove(name),
            };
            if self.noted(written).is_none() {
                // What is there is older than what is kept here: nobody should find it again.
                let _ = self.storage.remove(name);
            }
        }
    }

    /// Do others see what is stored?
    pub(super) fn works(&self) -> bool {
        !lock(&self.state).has_failed
    }

    fn noted<T>(&self, result: Result<T, StorageError>) -> Option<T> {
        if result.is_err() {
            lock(&self.state).has_failed = true;
        }
        result.ok()
    }
}

#[cfg(all(test, feature = "auth"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A storage that refuses reading (1), writing (2) or removing (4).
    #[derive(Clone, Default)]
    struct Refusing {
        inner: MemoryStorage,
        what: Arc<AtomicUsize>,
    }

    impl Refusing {
        fn may(&self, what: usize) -> Result<(), StorageError> {
            if self.what.load(Ordering::SeqCst) & what == 0 { Ok(()) } else { Err("quota exceeded".into()) }
        }
    }

    impl Storage for Refusing {
        fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
            self.may(1)?;
            self.inner.get(name)
        }

        fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
            self.may(2)?;
            self.inner.set(name, value)
        }

        fn remove(&self, name: &str) -> Result<(), StorageError> {
            self.may(4)?;
            self.inner.remove(name)
        }
    }

    #[test]
    fn whatever_a_storage_refuses_stays_in_memory() {
        for what in 0..8 {
            let storage = Refusing::default();
            let kept = Kept::new(Box::new(storage.clone()));
            kept.set("a", Some("1"));
            storage.what.store(what, Ordering::SeqCst);
            assert_eq!(kept.get("a").as_deref(), Some("1"), "{what}");
            kept.set("a", Some("2"));
            assert_eq!(kept.get("a").as_deref(), Some("2"), "{what}");
            kept.set("a", None);
            assert_eq!(kept.get("a"), None, "{what}");
            assert_eq!(kept.works(), what == 0, "{what}");
        }
    }

    #[test]
    fn what_could_not_be_written_leaves_nothing_older_behind() {
        let storage = Refusing::default();
        let kept = Kept::new(Box::new(storage.clone()));
        kept.set("a", Some("1"));
        storage.what.store(2, Ordering::SeqCst);
        kept.set("a", Some("2"));
        assert_eq!(storage.inner.get("a").unwrap(), None);
    }

    #[test]
    fn the_session_lies_where_supabase_js_keeps_it() {
        for (url, key) in [
            ("https://abc.supabase.co", "sb-abc-auth-token"),
            ("http://127.0.0.1:54321", "sb-127-auth-token"),
            ("http://localhost:54321", "sb-localhost-auth-token"),
            ("https://api.example.com/below", "sb-api-auth-token"),
            ("https://ABC.supabase.co", "sb-abc-auth-token"),
            ("http://[::1]:54321/below", "sb-[::1]-auth-token"),
        ] {
            assert_eq!(usual_storage_key(url), key, "{url}");
        }
    }
}
