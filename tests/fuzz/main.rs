//! Everything that reads what others send, under mutated input: no panic, nothing that hangs, and the same verdict as a second
//! implementation where there is one. `FUZZ_SECONDS` is the time for each target; cargo-fuzz runs the same ones (`fuzz/`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use mutate::Mutations;

/// Enough for each rule to have been met, in the time that a suite has.
const FEWEST: u32 = 200;

fn fuzz(name: &str) {
    let (_, target, seeds) = targets::ALL.iter().find(|(known, ..)| *known == name).unwrap();
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.3);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut mutations = Mutations::new(name, seeds);
    let mut executions = 0;
    while executions < FEWEST || Instant::now() < until {
        let input = mutations.next();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&input))) {
            eprintln!("{name}: execution {executions} fails with {:?}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(panic);
        }
        executions += 1;
    }
    println!("fuzz {name}: {executions} executions");
}

macro_rules! run {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            fuzz(stringify!($name));
        }
    )*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert_eq!(run.to_vec(), targets::ALL.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
        }
    };
}

run!(bundle error_body claims stream stream_made chunk retry_after calls session stored keys jwks webhook origin);
