//! What the library logs, kept for the thread that logged it: a test has a thread of its own.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::filter::LevelFilter;

thread_local! {
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Here;

impl io::Write for Here {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens from now on. One listener for the whole process, because a log call that finds none may be switched off
/// for good by the time another test brings one.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| Here).with_ansi(false).init();
    });
}

/// What this thread has logged so far.
pub(crate) fn written() -> String {
    WRITTEN.with_borrow(|written| String::from_utf8_lossy(written).into_owned())
}
