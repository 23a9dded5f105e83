//! One project, used by several threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use behest_client::auth::{AuthEvent, MemoryStorage, Scope, Storage, StorageError};

use crate::server::Server;

/// A storage that takes its time: a file, a keyring. What it answers is as it was at the beginning.
struct Slow(MemoryStorage);

impl Storage for Slow {
    fn get(&self, name: &str) -> Result<Option<String>, StorageError> {
        let read = self.0.get(name);
        thread::sleep(Duration::from_micros(500));
        read
    }

    fn set(&self, name: &str, value: &str) -> Result<(), StorageError> {
        self.0.set(name, value)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.0.remove(name)
    }
}

#[test]
fn a_thread_that_looks_meanwhile_makes_up_no_change() {
    let server = Server::new();
    let supabase = server.builder().storage(Slow(MemoryStorage::new())).build().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = told.clone();
    let _stays = supabase.on_change(move |event, _| list.lock().unwrap().push(event));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                supabase.peek();
            }
        });
        for _ in 0..50 {
            server.world.run(supabase.sign_in_anonymously()).unwrap();
            server.world.run(supabase.sign_out(Scope::Local)).unwrap();
        }
        is_over.store(true, Ordering::SeqCst);
    });
    let mut expected = vec![AuthEvent::InitialSession];
    (0..50).for_each(|_| expected.extend([AuthEvent::SignedIn, AuthEvent::SignedOut]));
    assert_eq!(*told.lock().unwrap(), expected);
}
