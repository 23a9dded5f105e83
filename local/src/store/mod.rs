//! The one SQLite database, in a file or in memory.

pub(crate) mod flows;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod report;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod threads;
pub(crate) mod usage;
pub(crate) mod users;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Schema steps in order. Append only: a data file remembers how many it has seen.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("gateway.sql"), include_str!("auth.sql")];

/// A handle on the database; clones share the connection.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Mutex<Connection>>);

impl Store {
    /// Opens the data file, or a database that lives in memory, and brings its schema up to date.
    pub(crate) async fn open(file: Option<&Path>) -> Result<Self> {
        let file = file.map(Path::to_owned);
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(file.as_deref()));
        opening.await.context("opening the database was interrupted")?
    }

    fn open_blocking(file: Option<&Path>) -> Result<Self> {
        let connection = match file {
            Some(file) => {
                create_private(file).with_context(|| format!("cannot create the data file {}", file.display()))?;
                Connection::open(file)
            }
            None => Connection::open_in_memory(),
        };
        let mut connection = connection.context("cannot open the database")?;
        let place = || file.map_or_else(|| "the database in memory".to_owned(), |file| file.display().to_string());
        prepare(&mut connection).with_context(|| format!("cannot use {}", place()))?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Does `work` in one transaction, on the calling thread: for code that may block.
    pub(crate) fn blocking<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        // A panic while the lock was held rolled its transaction back, so the connection is sound.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Does `work` in one transaction, off the async threads. It is carried out even if the caller goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.blocking(work)).await.context("the database task was lost")?
    }
}

/// Deletes a data file with what SQLite keeps beside it.
///
/// # Errors
/// If a file that is there cannot be deleted.
pub(crate) fn delete(data: &Path) -> Result<()> {
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

/// The file holds password hashes and private keys: readable by its owner alone.
fn create_private(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

fn prepare(connection: &mut Connection) -> Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // Write-ahead logging: a killed process loses no committed row.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let newest = u32::try_from(MIGRATIONS.len())?;
    if version > newest {
        bail!("it was written by a newer behest-local (schema {version}): update behest-local or use another file");
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(version)?) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", newest)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_file_opens_again_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data.sqlite");
        let put = "INSERT INTO settings VALUES ('a', 'b')";
        Store::open_blocking(Some(&file)).unwrap().blocking(|tx| Ok(tx.execute(put, [])?)).unwrap();
        let store = Store::open_blocking(Some(&file)).unwrap();
        let read = |tx: &Transaction<'_>| Ok(tx.query_row("SELECT value FROM settings", [], |row| row.get(0))?);
        let value: String = store.blocking(read).unwrap();
        assert_eq!(value, "b");
        store.blocking(|tx| Ok(tx.pragma_update(None, "user_version", 99)?)).unwrap();
        drop(store);
        assert!(format!("{:#}", Store::open_blocking(Some(&file)).unwrap_err()).contains("newer behest-local"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let store = Store::open_blocking(None).unwrap();
        let failed: Result<()> = store.blocking(|tx| {
            tx.execute("INSERT INTO settings VALUES ('a', 'b')", [])?;
            bail!("no")
        });
        assert!(failed.is_err());
        let count = |tx: &Transaction<'_>| Ok(tx.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?);
        assert_eq!(store.blocking::<i64>(count).unwrap(), 0);
    }
}
