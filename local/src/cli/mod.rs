//! The command line.

mod admin;
mod doctor;
mod printed;
mod settings_file;
mod start;

use std::ffi::OsString;

use anyhow::{Result, anyhow};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Supabase Auth, the token function and a Behest gateway on one machine, with no account")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the servers; Ctrl-C stops them
    #[command(args_override_self = true)]
    Start(Box<start::Start>),
    #[command(flatten)]
    Admin(admin::Command),
    /// Ask the token function and the gateway what a browser would ask, and say what to change; real services, too
    Doctor(doctor::Doctor),
}

/// Does what the program's arguments say.
///
/// # Errors
/// If the command fails. The message says why.
pub async fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Start(options) => match options.settings_file() {
            Some(file) => {
                // The file's settings go first, so that what the command line says stands.
                let mut all: Vec<OsString> = std::env::args_os().take(2).collect();
                all.extend(settings_file::arguments(file)?);
                all.extend(std::env::args_os().skip(2));
                // The line alone was right, so that what is wrong now stands in the file.
                let both = Cli::try_parse_from(all).map_err(|why| anyhow!("--config: {}: {why}", file.display()))?;
                match both.command {
                    Command::Start(options) => options.run().await,
                    _ => options.run().await,
                }
            }
            None => options.run().await,
        },
        Command::Admin(command) => command.run().await,
        Command::Doctor(doctor) => doctor.run().await,
    }
}
