//! The commands beside `start`. Those that take `--data` work on the file, whether its servers run or not.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use behest_local::{Project, delete_data, diagnose};
use clap::{Args, Subcommand};

const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say whether the servers of a data file run, and where
    Status(Data),
    /// Delete a data file with all users, keys and usage
    Reset(Data),
    /// List the users, or give one another plan
    Users(Users),
    /// Print a gateway token for a user
    Mint(Mint),
    /// List, add and revoke keys of the gateway
    Keys(Keys),
    /// Ask the token function and the gateway what a browser would ask, and say what to change; real services, too
    Doctor(Doctor),
}

#[derive(Args)]
pub(crate) struct Data {
    /// The SQLite file given to `start --data`
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
}

#[derive(Args)]
pub(crate) struct Users {
    #[command(flatten)]
    file: Data,
    /// Give a user another plan: free, pro or max
    #[arg(long, num_args = 2, value_names = ["USER_ID", "PLAN"])]
    set_plan: Option<Vec<String>>,
}

#[derive(Args)]
pub(crate) struct Mint {
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
pub(crate) struct Keys {
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

#[derive(Args)]
pub(crate) struct Doctor {
    /// The page's origin, exactly as the browser sends it
    #[arg(long)]
    origin: String,
    /// URL of the Supabase project
    #[arg(long, value_name = "URL")]
    supabase_url: String,
    /// URL of the Behest gateway
    #[arg(long, value_name = "URL")]
    behest_url: String,
    /// Name of the token function
    #[arg(long, value_name = "NAME", default_value = "behest-token")]
    function: String,
}

impl Command {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Status(Data { data }) => {
                match running(&Project::open(&data)?).await? {
                    Some(url) => println!("running, gateway at {url}"),
                    None => println!("not running"),
                }
                Ok(())
            }
            Self::Reset(Data { data }) => {
                if let Ok(project) = Project::open(&data)
                    && let Some(url) = running(&project).await?
                {
                    bail!("the servers of this file run (gateway at {url}): stop them first");
                }
                delete_data(&data)?;
                println!("deleted {}", data.display());
                Ok(())
            }
            Self::Users(Users { file, set_plan }) => users(&Project::open(&file.data)?, set_plan),
            Self::Mint(Mint { file, user, tier, ttl }) => {
                println!("{}", Project::open(&file.data)?.mint(&user, tier, ttl)?);
                Ok(())
            }
            Self::Keys(keys) => keys.run(),
            Self::Doctor(Doctor { origin, supabase_url, behest_url, function }) => {
                let findings = diagnose(&origin, &supabase_url, &behest_url, &function).await?;
                findings.iter().for_each(|finding| println!("{finding}"));
                let bad = findings.iter().filter(|finding| finding.problem.is_some()).count();
                ensure!(bad == 0, "{bad} of {} checks failed", findings.len());
                Ok(())
            }
        }
    }
}

/// The gateway's URL, if it answers there.
async fn running(project: &Project) -> Result<Option<String>> {
    let Some(url) = project.gateway_url()? else { return Ok(None) };
    let http = reqwest::Client::builder().no_proxy().timeout(PROBE_LIMIT).build()?;
    let answer = http.get(format!("{url}/_local/counters")).send().await;
    Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(url))
}

fn users(project: &Project, set_plan: Option<Vec<String>>) -> Result<()> {
    if let Some([user, plan]) = set_plan.as_deref() {
        project.set_plan(user, plan)?;
    }
    for user in project.users()? {
        let email = user.email.as_deref().unwrap_or("(anonymous)");
        println!("{}  {:<6} {email}", user.id, user.plan.as_deref().unwrap_or("-"));
    }
    Ok(())
}

impl Keys {
    fn run(self) -> Result<()> {
        let project = Project::open(&self.file.data)?;
        if self.add {
            println!("BEHEST_KEY={}", project.add_api_key()?.expose());
        } else if self.add_signing {
            let key = project.add_signing_key()?;
            println!("BEHEST_KEY={}", key.key.expose());
            println!("BEHEST_KID={}", key.kid);
            println!("BEHEST_TENANT_ID={}", key.tenant_id);
            println!("BEHEST_PROJECT_ID={}", key.project_id);
        } else {
            if let Some(id) = &self.revoke {
                project.revoke_key(id)?;
            }
            for key in project.keys()? {
                let state = if key.revoked_at.is_some() { "revoked" } else { "valid" };
                println!("{:<24} {:<8} {state}", key.id, key.kind);
            }
        }
        Ok(())
    }
}
