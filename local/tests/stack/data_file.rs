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
async fn reset_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    assert!(on(&data, "reset", &[]).unwrap().contains("nothing was deleted"));
    World::with(at(&data)).await.running.stop().await;
    assert!(on(&data, "reset", &["--yes"]).unwrap().contains("deleted"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn two_servers_never_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let world = World::with(at(&data)).await;
    let refused = refusal(&data).await;
    assert!(refused.contains("another behest-local uses") && refused.contains("data.sqlite"), "{refused}");
    assert!(on(&data, "users", &[]).is_ok(), "commands may look");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_behest-local"))
        .args(["start", "--supabase-port", "0", "--gateway-port", "0", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success(), "another process is kept away, too");
    in_time(world.running.stop()).await;
    World::with(at(&data)).await;
}
