//! What an administrator does to a project's data, whether its servers run or not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use behest_client::Secret;

use crate::domain::clock::Clock;
use crate::domain::gateway_token::TokenRequest;
use crate::domain::identity::{Identity, TenantKey};
use crate::domain::limits::BudgetRule;
use crate::store::keys::{self, KeyRow};
use crate::store::sessions::{self, SignOut};
use crate::store::usage::{self, UsageRow};
use crate::store::users::{self, Changes, UserRow};
use crate::store::{self, Store, budgets, identity, settings};

pub(crate) const PLANS: [&str; 3] = ["free", "pro", "max"];

/// One project's users, keys, budgets and usage. Clones share them.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) clock: Clock,
}

impl Admin {
    /// Opens a data file that [`start`](crate::start()) has made.
    ///
    /// # Errors
    /// If there is none at this place, or it is unusable.
    pub async fn open(data: &Path) -> Result<Self> {
        ensure!(data.is_file(), "there is no data file {}: start behest-local with --data first", data.display());
        store::check(data)?;
        ensure!(store::is_ours(data), "{} is not a data file of behest-local", data.display());
        Self::load(Some(data), Clock::default()).await
    }

    /// The project of the data file, made if there is none, or a new one in memory.
    pub(crate) async fn load(data: Option<&Path>, clock: Clock) -> Result<Self> {
        let store = Store::open(data).await?;
        let identity = store.run(|db| identity::load(db)).await;
        let place = || format!("cannot use {}", data.map_or_else(|| "the database".into(), Path::to_string_lossy));
        let identity = Arc::new(identity.with_context(place)?);
        Ok(Self { store, identity, clock })
    }

    /// Every user, oldest first.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub async fn users(&self) -> Result<Vec<UserRow>> {
        self.store.run(|db| users::all(db)).await
    }

    /// Sets the plan in a user's profile (`free`, `pro`, `max`), which users cannot do themselves.
    ///
    /// # Errors
    /// If there is no such user or plan.
    pub async fn set_plan(&self, user_id: &str, plan: &str) -> Result<()> {
        ensure!(PLANS.contains(&plan), "there is no plan {plan:?}: use {}", PLANS.join(", "));
        let (id, plan) = (user_id.to_owned(), plan.to_owned());
        let set = self.store.run(move |db| {
            let user = users::by_id(db, &id)?;
            user.map(|_| users::set_plan(db, &id, Some(&plan))).transpose()
        });
        set.await?.with_context(|| format!("there is no user {user_id}"))
    }

    /// Bans a user for so long, who then gets no session, or ends the ban. Sessions that stand are ended.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn set_ban(&self, user_id: &str, ban: Option<Duration>) -> Result<()> {
        let (id, now) = (user_id.to_owned(), self.clock.now_ms());
        let until = ban.map(|ban| now.saturating_add(i64::try_from(ban.as_millis()).unwrap_or(i64::MAX)));
        let changes = Changes { banned_until: Some(until), ..Changes::default() };
        let changed = self.store.run(move |db| {
            if until.is_some() {
                sessions::end(db, SignOut::Global, &id, "")?;
            }
            users::change(db, &id, &changes, now)
        });
        changed.await?.map(drop).with_context(|| format!("there is no user {user_id}"))
    }

    /// A gateway token as the mint would give it, good for `ttl` seconds.
    ///
    /// # Errors
    /// If the mint would refuse.
    pub fn mint(&self, user_id: &str, tier: Option<u64>, ttl: u64) -> Result<String> {
        let request = TokenRequest::new(user_id.to_owned(), ttl, None, tier);
        request.check().map_err(anyhow::Error::msg)?;
        request.sign(&self.identity, self.clock.now_secs())
    }

    /// The keys that were added.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyRow>> {
        self.store.run(|db| keys::list(db)).await
    }

    /// Makes another API key.
    ///
    /// # Errors
    /// If the data cannot be written.
    pub async fn add_api_key(&self) -> Result<Secret> {
        let now = self.clock.now_ms();
        self.store.run(move |db| identity::add_api_key(db, now)).await
    }

    /// Makes a key with which a server signs gateway tokens itself.
    ///
    /// # Errors
    /// If the data cannot be written.
    pub async fn add_signing_key(&self) -> Result<TenantKey> {
        let (ours, now) = (Arc::clone(&self.identity), self.clock.now_ms());
        self.store.run(move |db| identity::add_tenant_key(db, &ours, now)).await
    }

    /// Revokes an API key by its first characters, or a signing key by its `kid`.
    ///
    /// # Errors
    /// If there is no such key.
    pub async fn revoke_key(&self, id: &str) -> Result<()> {
        let (id, now) = (id.to_owned(), self.clock.now_ms());
        self.store.run(move |db| keys::revoke(db, &id, now)).await
    }

    /// Signs sessions and gateway tokens with new keys from now on; what the old ones signed stays valid.
    ///
    /// # Errors
    /// If the data cannot be written.
    pub async fn rotate_keys(&self) -> Result<()> {
        let ours = Arc::clone(&self.identity);
        self.store.run(move |db| identity::rotate(db, &ours)).await
    }

    /// The budgets that are set.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub async fn budgets(&self) -> Result<Vec<BudgetRule>> {
        self.store.run(|db| budgets::all(db)).await
    }

    /// Sets a budget.
    ///
    /// # Errors
    /// If the data cannot be written.
    pub async fn set_budget(&self, rule: BudgetRule) -> Result<()> {
        self.store.run(move |db| budgets::set(db, rule.scope, &rule.subject, Some(rule.allowance))).await
    }

    /// Every usage row, oldest first.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub async fn usage(&self) -> Result<Vec<UsageRow>> {
        self.store.run(|db| usage::all(db)).await
    }

    /// Where the servers that use this data said they were: the URL of their gateway. They may have been killed since.
    ///
    /// # Errors
    /// If the data cannot be read.
    pub async fn gateway_url(&self) -> Result<Option<String>> {
        self.store.run(|db| settings::get(db, settings::RUNNING)).await
    }
}
