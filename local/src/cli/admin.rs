//! The commands beside `start`. Those that take `--data` work on the file, whether its servers run or not.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};

use super::printed::say;
use crate::admin::Admin;
use crate::store;

const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Say whether the servers of a data file run, and where
    Status(Data),
    /// Delete a data file with all users, keys and usage
    Reset(Reset),
    /// List the users, or give one another plan
    Users(Users),
    /// Print a gateway token for a user
    Mint(Mint),
    /// List, add and revoke keys of the gateway
    Keys(Keys),
}

#[derive(Args)]
pub(super) struct Data {
    /// The SQLite file given to `start --data`
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
}

#[derive(Args)]
pub(super) struct Reset {
    #[command(flatten)]
    file: Data,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
pub(super) struct Users {
    #[command(flatten)]
    file: Data,
    /// Give a user another plan: free, pro or max
    #[arg(long, num_args = 2, value_names = ["USER_ID", "PLAN"])]
    set_plan: Option<Vec<String>>,
}

#[derive(Args)]
pub(super) struct Mint {
    #[command(flatten)]
    file: Data,
    /// Whom the token is for
    #[arg(long, value_name = "ID")]
    user: String,
    /// 1 free, 2 pro, 3 max
    #[arg(long)]
    tier: Option<u64>,
    /// Life in seconds, 60 to 86400
    #[arg(long, value_name = "SECS", default_value_t = 3600)]
    ttl: u64,
}

#[derive(Args)]
pub(super) struct Keys {
    #[command(flatten)]
    file: Data,
    /// Make an API key and print it as an environment file. It is shown this once
    #[arg(long, conflicts_with_all = ["add_signing", "revoke"])]
    add: bool,
    /// Make a key with which a server signs tokens itself, and print it as an environment file. It is shown this once
    #[arg(long, conflicts_with = "revoke")]
    add_signing: bool,
    /// Revoke a key by the id that the list shows
    #[arg(long, value_name = "ID")]
    revoke: Option<String>,
}

impl Command {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Status(Data { data }) => match running(&Admin::open(&data).await?).await? {
                Some(url) => say(format_args!("running, gateway at {url}")),
                None => say(format_args!("not running")),
            },
            Self::Reset(Reset { file, yes }) => reset(&file.data, yes).await,
            Self::Users(Users { file, set_plan }) => users(&Admin::open(&file.data).await?, set_plan).await,
            Self::Mint(Mint { file, user, tier, ttl }) => {
                say(format_args!("{}", Admin::open(&file.data).await?.mint(&user, tier, ttl)?))
            }
            Self::Keys(keys) => keys.run().await,
        }
    }
}

async fn reset(data: &Path, yes: bool) -> Result<()> {
    if !data.exists() {
        return say(format_args!("there is no data file {}: nothing was deleted", data.display()));
    }
    ensure!(store::is_ours(data), "{} is not a data file of behest-local: nothing was deleted", data.display());
    if let Ok(admin) = Admin::open(data).await
        && let Some(url) = running(&admin).await?
    {
        bail!("the servers of this file run (gateway at {url}): stop them first");
    }
    // A script says what it wants by calling this.
    if !yes && std::io::stdin().is_terminal() {
        print!("Delete {} with all users, keys and usage? [y/N] ", data.display());
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was deleted");
    }
    // A server that is busy, or just beginning, has not answered.
    drop(store::Lock::take(Some(data))?);
    store::delete(data)?;
    say(format_args!("deleted {}", data.display()))
}

/// The gateway's URL, if it answers there.
async fn running(admin: &Admin) -> Result<Option<String>> {
    let Some(url) = admin.gateway_url().await? else { return Ok(None) };
    let http = reqwest::Client::builder().no_proxy().timeout(PROBE_LIMIT).build()?;
    let answer = http.get(format!("{url}/_local/counters")).send().await;
    Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(url))
}

async fn users(admin: &Admin, set_plan: Option<Vec<String>>) -> Result<()> {
    if let Some([user, plan]) = set_plan.as_deref() {
        admin.set_plan(user, plan).await?;
    }
    for user in admin.users().await? {
        let email = user.email.as_deref().unwrap_or("(anonymous)");
        say(format_args!("{}  {:<6} {email}", user.id, user.plan.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}

impl Keys {
    async fn run(self) -> Result<()> {
        let admin = Admin::open(&self.file.data).await?;
        if self.add {
            say(format_args!("BEHEST_KEY={}", admin.add_api_key().await?.expose()))?;
        } else if self.add_signing {
            let key = admin.add_signing_key().await?;
            say(format_args!("BEHEST_KEY={}", key.key.expose()))?;
            say(format_args!("BEHEST_KID={}", key.kid))?;
            say(format_args!("BEHEST_TENANT_ID={}", key.tenant_id))?;
            say(format_args!("BEHEST_PROJECT_ID={}", key.project_id))?;
        } else {
            if let Some(id) = &self.revoke {
                admin.revoke_key(id).await?;
            }
            for key in admin.keys().await? {
                let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
                say(format_args!("{:<24} {:<8} {state}", key.id, key.kind))?;
            }
        }
        Ok(())
    }
}
