//! The one SQLite database, in a file or in memory.

pub(crate) mod budgets;
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

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

/// Schema steps in order. Append only: a data file remembers how many it has seen.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("gateway.sql"),
    include_str!("auth.sql"),
    include_str!("report.sql"),
    include_str!("roles.sql"),
];

/// What SQLite keeps in the file's head, to know it by.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"bhst");
const LOCK: &str = "-lock";

/// A handle on the database; clones share the connections.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    main: Arc<Mutex<Connection>>,
    /// For reports, which then hold up nobody. A database in memory has one connection for everything.
    reader: Arc<Mutex<Connection>>,
}

impl Store {
    /// Opens the data file, or a database that lives in memory, and brings its schema up to date. A file that is there must
    /// be ours.
    pub(crate) async fn open(file: Option<&Path>) -> Result<Self> {
        let file = file.map(Path::to_owned);
        let opening = tokio::task::spawn_blocking(move || Self::open_blocking(file.as_deref()));
        opening.await.context("opening the database was interrupted")?
    }

    fn open_blocking(file: Option<&Path>) -> Result<Self> {
        let connection = match file {
            Some(file) => {
                check(file)?;
                create_private(file).with_context(|| format!("cannot create the data file {}", file.display()))?;
                Connection::open(file)
            }
            None => Connection::open_in_memory(),
        };
        let mut connection = connection.context("cannot open the database")?;
        let place = || file.map_or_else(|| "the database in memory".to_owned(), |file| file.display().to_string());
        prepare(&mut connection).with_context(|| format!("cannot use {}", place()))?;
        let main = Arc::new(Mutex::new(connection));
        let reader = match file {
            Some(file) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let reader =
                    Connection::open_with_flags(file, flags).with_context(|| format!("cannot read {}", place()))?;
                reader.busy_timeout(Duration::from_secs(5))?;
                Arc::new(Mutex::new(reader))
            }
            None => Arc::clone(&main),
        };
        Ok(Self { main, reader })
    }

    /// Does `work` in one transaction, on the calling thread: for code that may block.
    pub(crate) fn blocking<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        // A panic while the lock was held rolled its transaction back, so the connection is sound.
        let mut connection = self.main.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Store {
    /// Moves everything into the data file itself, which can be copied then without what SQLite keeps beside it.
    pub(crate) async fn settle(&self) -> Result<()> {
        let main = Arc::clone(&self.main);
        let settling = tokio::task::spawn_blocking(move || {
            let connection = main.lock().unwrap_or_else(PoisonError::into_inner);
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        });
        Ok(settling.await.context("the database task was lost")??)
    }

    /// Reads what was committed last, off the async threads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let reader = Arc::clone(&self.reader);
        let reading = tokio::task::spawn_blocking(move || {
            let mut connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            // One state for all queries of a report.
            work(&*connection.transaction()?)
        });
        reading.await.context("the database task was lost")?
    }
}

/// A data file is made where there is nothing, and used where it is ours and can be written.
pub(crate) fn check(file: &Path) -> Result<()> {
    // To open a pipe is to wait for whoever is at its other end.
    let is_other = std::fs::metadata(file).is_ok_and(|data| !data.is_file());
    ensure!(!is_other, "{} is a folder, a pipe or a device: name a file", file.display());
    if let Err(error) = OpenOptions::new().append(true).open(file)
        && matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
    {
        bail!("{} is read-only: let it be written, or use another file", file.display());
    }
    let is_empty =
        std::fs::metadata(file).map_or_else(|error| error.kind() == ErrorKind::NotFound, |data| data.len() == 0);
    ensure!(is_empty || is_ours(file), "{} is not a data file of behest-local: use another file", file.display());
    Ok(())
}

/// Is this a data file of behest-local? Looks without writing.
pub(crate) fn is_ours(file: &Path) -> bool {
    if !file.is_file() {
        return false;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(db) = Connection::open_with_flags(file, flags) else { return false };
    match db.pragma_query_value(None, "application_id", |row| row.get(0)) {
        Ok(APPLICATION_ID) => true,
        // Those of the first versions have no mark, but a key that nobody else has.
        Ok(0) => settings::get(&db, "behest_key").is_ok_and(|key| key.is_some()),
        Ok(_) => false,
        // SQLite reads no such file in a folder that cannot be written to. Its head can be read all the same.
        Err(_) => has_our_head(file).unwrap_or(false),
    }
}

fn has_our_head(file: &Path) -> std::io::Result<bool> {
    let mut head = [0; 72];
    File::open(file)?.read_exact(&mut head)?;
    Ok(head.starts_with(b"SQLite format 3\0") && head.ends_with(&APPLICATION_ID.to_be_bytes()))
}

/// Held by the servers that use a data file: others stay away from it.
pub(crate) struct Lock(Option<Mutex<Connection>>);

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lock").field(&self.0.is_some()).finish()
    }
}

impl Lock {
    /// The lock of a data file; a database in memory needs none. SQLite's own locks work on every system, and end with the
    /// process.
    pub(crate) fn take(data: Option<&Path>) -> Result<Self> {
        let Some(data) = data else { return Ok(Self(None)) };
        check(data)?;
        let lock = Connection::open(beside(&real(data), LOCK)).with_context(|| {
            format!("cannot write beside {}: is its folder there, and may it be written to?", data.display())
        })?;
        lock.busy_timeout(Duration::ZERO)?;
        lock.execute_batch("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE").map_err(|_| {
            anyhow!("another behest-local uses {}: stop it, or give this one another file with --data", data.display())
        })?;
        Ok(Self(Some(Mutex::new(lock))))
    }
}

/// The file behind a link: by whatever name it is called, it is the same one.
fn real(data: &Path) -> PathBuf {
    std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned())
}

fn beside(data: &Path, ending: &str) -> PathBuf {
    let mut file = data.as_os_str().to_owned();
    file.push(ending);
    file.into()
}

/// Deletes a data file with what SQLite keeps beside it.
///
/// # Errors
/// If a file that is there cannot be deleted.
pub(crate) fn delete(data: &Path) -> Result<()> {
    let data = real(data);
    for ending in ["", "-wal", "-shm", LOCK] {
        let file = beside(&data, ending);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
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
    connection.busy_timeout(Duration::from_secs(5))?;
    if connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0))? != APPLICATION_ID {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
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
