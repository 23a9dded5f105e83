//! Telling several, of whom any may panic.

#[cfg(not(target_arch = "wasm32"))]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Tells each of them. Whoever panics takes nothing away from the others: the panic goes on when all were told.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn each<T>(all: impl IntoIterator<Item = T>, mut tell: impl FnMut(T)) {
    let panics = all.into_iter().filter_map(|one| catch_unwind(AssertUnwindSafe(|| tell(one))).err());
    if let Some(first) = panics.reduce(|first, _| first) {
        resume_unwind(first);
    }
}

/// Tells each of them. A panic ends the whole instance.
#[cfg(target_arch = "wasm32")]
pub(crate) fn each<T>(all: impl IntoIterator<Item = T>, tell: impl FnMut(T)) {
    all.into_iter().for_each(tell);
}

/// Tells somebody while something is dropped, perhaps by a panic already: another one would end the program.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn tell_in_drop(tell: impl FnOnce()) {
    // Standard error has said it.
    let _ = catch_unwind(AssertUnwindSafe(tell));
}

/// Tells somebody while something is dropped.
#[cfg(target_arch = "wasm32")]
pub(crate) fn tell_in_drop(tell: impl FnOnce()) {
    tell();
}
