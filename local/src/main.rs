//! `behest-local`: the whole system on one machine.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match behest_local::cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One paragraph with its causes: no list of them, and no backtrace.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
