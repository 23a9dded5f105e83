//! The targets of `tests/fuzz` under libFuzzer: `FUZZ_TARGET=stream cargo +nightly fuzz run all`. Without a name, the first byte
//! chooses.
#![no_main]

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FUZZ_TARGET").ok());

fuzz_target!(|input: &[u8]| {
    let named = CHOSEN.as_ref().and_then(|name| targets::ALL.iter().find(|(known, ..)| known == name));
    match (named, input.split_first()) {
        (Some((_, target, _)), _) => target(input),
        (None, Some((choice, rest))) => targets::ALL[usize::from(*choice) % targets::ALL.len()].1(rest),
        (None, None) => {}
    }
});
