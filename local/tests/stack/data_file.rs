//! Only files that are ours are touched, and by one server at a time.

use std::path::Path;

use behest_local::Config;

use crate::commands::on;
use crate::support::{World, config, in_time};

fn at(data: &Path) -> Config {
    Config { data: Some(data.to_owned()), ..config() }
}

async fn refusal(data: &Path) -> String {
    format!("{:#}", in_time(behest_local::start(at(data))).await.unwrap_err())
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let others = folder.path().join("others.sqlite");
    let db = rusqlite::Connection::open(&others).unwrap();
    db.execute_batch("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT); PRAGMA user_version = 2").unwrap();
    db.close().unwrap();
    let marked = folder.path().join("marked.sqlite");
    let db = rusqlite::Connection::open(&marked).unwrap();
    db.execute_batch("PRAGMA application_id = 77; CREATE TABLE a (b)").unwrap();
    db.close().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Not a database, but dear to its owner.".repeat(100)).unwrap();
    let empty = folder.path().join("empty.sqlite");
    std::fs::write(&empty, "").unwrap();
    for file in [&others, &marked, &text] {
        let before = std::fs::read(file).unwrap();
        for command in ["status", "users", "keys", "reset"] {
            assert!(on(file, command, &[]).unwrap_err().contains("is not a data file of behest-local"), "{command}");
        }
        assert!(on(file, "mint", &["--user", "ada"]).is_err());
        assert!(refusal(file).await.contains("is not a data file of behest-local"));
        assert_eq!(std::fs::read(file).unwrap(), before);
    }
    assert!(on(&empty, "reset", &[]).unwrap_err().contains("is not a data file"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "nothing was made beside them");
    World::with(at(&empty)).await.running.stop().await;
    assert_eq!(on(&empty, "status", &[]).unwrap(), "not running\n", "an empty file may become ours");
}

#[tokio::test]
async fn data_of_the_first_versions_is_ours() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    World::with(at(&data)).await.running.stop().await;
    let db = rusqlite::Connection::open(&data).unwrap();
    db.execute_batch("PRAGMA application_id = 0").unwrap();
    db.close().unwrap();
    assert!(on(&data, "users", &[]).is_ok());
    World::with(at(&data)).await.running.stop().await;
    let db = rusqlite::Connection::open(&data).unwrap();
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
    assert_ne!(id, 0, "now it is marked");
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    World::with(at(&data)).await.running.stop().await;
    let whole = std::fs::read(&data).unwrap();
    for damaged in [whole[..20_000].to_vec(), [&whole[..4096], &[7; 12_288], &whole[16_384..]].concat()] {
        std::fs::write(&data, damaged).unwrap();
        let why = format!("{:#}", behest_local::start(at(&data)).await.unwrap_err());
        assert!(why.contains("cannot use") && why.contains("data.sqlite") && why.contains("malformed"), "{why}");
    }
}

#[tokio::test]
async fn reset_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    assert!(on(&data, "reset", &[]).unwrap().contains("nothing was deleted"));
    World::with(at(&data)).await.running.stop().await;
    assert!(on(&data, "reset", &["--yes"]).unwrap().contains("deleted"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn nothing_is_deleted_under_a_server_that_does_not_say_that_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let world = World::with(at(&data)).await;
    let db = rusqlite::Connection::open(&data).unwrap();
    assert_eq!(db.execute("DELETE FROM settings WHERE name = 'running'", []).unwrap(), 1);
    db.close().unwrap();
    assert!(on(&data, "reset", &["--yes"]).unwrap_err().contains("another behest-local uses"));
    assert!(data.exists());
    in_time(world.running.stop()).await;
    assert!(on(&data, "reset", &["--yes"]).is_ok());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_leads_to_the_file_that_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (data, link) = (folder.path().join("data.sqlite"), folder.path().join("link.sqlite"));
    World::with(at(&data)).await.running.stop().await;
    std::os::unix::fs::symlink(&data, &link).unwrap();
    on(&link, "reset", &["--yes"]).unwrap();
    assert!(!data.exists());
}

/// Opening a pipe would wait for ever.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for other in [pipe.as_path(), folder.path(), Path::new("/dev/null")] {
        let refused = refusal(other).await;
        assert!(refused.contains("is a folder, a pipe or a device"), "{refused}");
        for command in ["status", "reset"] {
            assert!(on(other, command, &[]).is_err(), "{command}");
        }
    }
}

#[tokio::test]
async fn after_a_stop_the_file_is_whole_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data.sqlite"), folder.path().join("copy.sqlite"));
    let world = World::with(at(&data)).await;
    let ada = world.sign_up("ada@example.com").await;
    let key = world.running.publishable_key.clone();
    in_time(world.running.stop()).await;
    std::fs::copy(&data, &copy).unwrap();
    let world = World::with(at(&copy)).await;
    assert_eq!((world.sign_in("ada@example.com").await.user, &world.running.publishable_key), (ada.user, &key));
}

#[tokio::test]
async fn two_servers_never_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let world = World::with(at(&data)).await;
    let refused = refusal(&data).await;
    assert!(refused.contains("another behest-local uses") && refused.contains("data.sqlite"), "{refused}");
    assert!(on(&data, "users", &[]).is_ok(), "commands may look");
    #[cfg(unix)]
    {
        let link = folder.path().join("link.sqlite");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let refused = refusal(&link).await;
        assert!(refused.contains("another behest-local uses"), "by another name, too: {refused}");
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_behest-local"))
        .args(["start", "--supabase-port", "0", "--gateway-port", "0", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success(), "another process is kept away, too");
    in_time(world.running.stop()).await;
    World::with(at(&data)).await;
}
