//! A data file without its servers: what the command line does to it, also while they run.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use behest_client::Secret;
use rusqlite::{Connection, OptionalExtension as _};

use crate::clock::Clock;
use crate::gateway::{self, Wish};
use crate::identity::{self, Identity, TenantKey};
use crate::store::keys::{self, KeyRow};
use crate::store::{Store, users};

/// Where the servers that use a data file are.
const RUNNING: &str = "running";

/// One installation's users and keys. Its functions block.
#[derive(Debug)]
pub struct Project {
    store: Store,
    identity: Identity,
    clock: Clock,
}

/// A user as they are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserRow {
    /// The id, a UUID.
    pub id: String,
    /// The address; `None` for an anonymous user.
    pub email: Option<String>,
    /// The plan in the user's profile, if there is one.
    pub plan: Option<String>,
}

impl Project {
    /// Opens a data file that [`start`](crate::start) has made.
    ///
    /// # Errors
    /// If there is none at this place, or it is unusable.
    pub fn open(data: &Path) -> Result<Self> {
        ensure!(data.is_file(), "there is no data file {}: start behest-local with --data first", data.display());
        let store = Store::open(Some(data))?;
        let identity = Identity::load(&store)?;
        Ok(Self { store, identity, clock: Clock::default() })
    }

    /// Every user, oldest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn users(&self) -> Result<Vec<UserRow>> {
        let rows = self.store.blocking(|db| users::all(db))?;
        Ok(rows.into_iter().map(|(user, plan)| UserRow { id: user.id, email: user.email, plan }).collect())
    }

    /// Sets a user's plan: `free`, `pro` or `max`.
    ///
    /// # Errors
    /// If there is no such user.
    pub fn set_plan(&self, user_id: &str, plan: &str) -> Result<()> {
        let set = self.store.blocking(|db| users::set_plan(db, user_id, Some(plan)));
        set.with_context(|| format!("user {user_id} cannot be given a plan: is there such a user?"))
    }

    /// A gateway token as the mint would give it, good for `ttl` seconds.
    ///
    /// # Errors
    /// If the mint would refuse.
    pub fn mint(&self, user_id: &str, tier: Option<u64>, ttl: u64) -> Result<String> {
        let wish = Wish { user_id: user_id.to_owned(), ttl, session_id: None, tier };
        Ok(gateway::mint_token(&self.identity, self.clock.now_secs(), wish).map_err(|why| why.into_plain())?.0)
    }

    /// The keys that were added.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn keys(&self) -> Result<Vec<KeyRow>> {
        self.store.blocking(|db| keys::list(db))
    }

    /// Makes another API key.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add_api_key(&self) -> Result<Secret> {
        identity::add_api_key(&self.store, self.clock.now_ms())
    }

    /// Makes a key with which a server signs gateway tokens itself.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add_signing_key(&self) -> Result<TenantKey> {
        self.identity.add_tenant_key(&self.store, self.clock.now_ms())
    }

    /// Revokes an API key by its first characters, or a signing key by its `kid`.
    ///
    /// # Errors
    /// If there is no such key.
    pub fn revoke_key(&self, id: &str) -> Result<()> {
        self.store.blocking(|db| keys::revoke(db, id, self.clock.now_ms()))
    }

    /// Where the servers that use this file said they were: the URL of their gateway. They may have been killed since.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn gateway_url(&self) -> Result<Option<String>> {
        let query = "SELECT value FROM settings WHERE name = ?1";
        self.store.blocking(|db| Ok(db.query_row(query, [RUNNING], |row| row.get(0)).optional()?))
    }
}

/// Says in the data file where its gateway is, or that it has none any more.
pub(crate) fn note_running(db: &Connection, gateway_url: Option<&str>) -> Result<()> {
    match gateway_url {
        Some(url) => db.execute("INSERT OR REPLACE INTO settings VALUES (?1, ?2)", [RUNNING, url])?,
        None => db.execute("DELETE FROM settings WHERE name = ?1", [RUNNING])?,
    };
    Ok(())
}

/// Deletes a data file with what SQLite keeps beside it.
///
/// # Errors
/// If a file that is there cannot be deleted.
pub fn delete_data(data: &Path) -> Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut file = data.as_os_str().to_owned();
        file.push(ending);
        let file = PathBuf::from(file);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot delete {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
