//! Starts the three origins, and stops them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use axum::Router;
use axum::serve::ListenerExt as _;
use behest_client::Secret;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::activity::Activity;
use crate::controls::Controls;
use crate::dashboard::Dashboard;
use crate::faults::Faults;
use crate::gateway::{Gateway, Rates, Recorder, Upstream};
use crate::identity::{self, Identity, TenantKey};
use crate::limits::BudgetRule;
use crate::mail::{Letter, Mailbox};
use crate::origins::{self, Origins};
use crate::store::keys::KeyRow;
use crate::store::usage::{self, UsageRow};
use crate::store::{Store, keys, ledger, users};
use crate::supabase::{self, Functions, Hasher, Limits, Proxy, Supabase};
use crate::{Clock, Config, Counters, page, project, random, tools};

const DEMO_EMAIL: &str = "demo@example.com";

/// Connections get this long to close after their answers have been cut.
const AFTER_CUT: Duration = Duration::from_secs(2);

/// Somebody to sign in as.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// The address.
    pub email: String,
    /// The password, new at every start.
    pub password: String,
}

/// The running system. Dropped without [`stop`](Self::stop), it stops at once and cuts running answers.
#[derive(Debug)]
pub struct Running {
    /// The Supabase origin, without a trailing slash.
    pub supabase_url: String,
    /// The gateway origin, without a trailing slash.
    pub gateway_url: String,
    /// The page origin, without a trailing slash; `None` if no page is served.
    pub page_url: Option<String>,
    /// The Supabase project's publishable key.
    pub publishable_key: String,
    /// The API key that mints gateway tokens. It belongs on servers only.
    pub behest_key: Secret,
    /// The demo user, if one was asked for.
    pub demo_user: Option<DemoUser>,
    counters: Counters,
    clock: Clock,
    identity: Arc<Identity>,
    controls: Controls,
    mailbox: Mailbox,
    store: Store,
    recorder: Recorder,
    servers: JoinSet<std::io::Result<()>>,
    closing: DropGuard,
    cut: DropGuard,
    grace: Duration,
}

impl Running {
    /// The dashboard, for browsers on this machine.
    pub fn dashboard_url(&self) -> String {
        format!("{}/dashboard", self.gateway_url)
    }

    /// What the servers were asked so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The clock of all parts.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Every usage row, oldest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn usage(&self) -> Result<Vec<UsageRow>> {
        self.store.run(|db| usage::all(db)).await
    }

    /// Sets the plan in a user's profile (`free`, `pro`, `max`), which users cannot do themselves.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn set_plan(&self, user_id: &str, plan: &str) -> Result<()> {
        let (id, plan) = (user_id.to_owned(), plan.to_owned());
        let set = self.store.run(move |db| users::set_plan(db, &id, Some(&plan))).await;
        set.with_context(|| format!("user {user_id} cannot be given a plan: is there such a user?"))
    }

    /// The letters with codes that would have been sent, newest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.mailbox.letters()
    }

    /// Sets a budget while the servers run.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn set_budget(&self, rule: BudgetRule) -> Result<()> {
        set_budgets(&self.store, vec![rule]).await
    }

    /// The budgets that are set.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn budgets(&self) -> Result<Vec<BudgetRule>> {
        self.store.run(|db| ledger::budgets(db)).await
    }

    /// Switches the gateway's project off, or on again.
    pub fn set_killed(&self, killed: bool) {
        self.controls.write().killed = killed;
    }

    /// Makes another API key.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn add_api_key(&self) -> Result<Secret> {
        let (store, now) = (self.store.clone(), self.clock.now_ms());
        tokio::task::spawn_blocking(move || identity::add_api_key(&store, now)).await?
    }

    /// Makes a key with which a server signs gateway tokens itself.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn add_signing_key(&self) -> Result<TenantKey> {
        let (identity, store, now) = (Arc::clone(&self.identity), self.store.clone(), self.clock.now_ms());
        tokio::task::spawn_blocking(move || identity.add_tenant_key(&store, now)).await?
    }

    /// The keys that were added.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn keys(&self) -> Result<Vec<KeyRow>> {
        self.store.run(|db| keys::list(db)).await
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
    /// If the database cannot be written.
    pub async fn rotate_keys(&self) -> Result<()> {
        let (identity, store) = (Arc::clone(&self.identity), self.store.clone());
        tokio::task::spawn_blocking(move || identity.rotate(&store)).await?
    }

    /// Takes no more requests, lets running answers go on for [`Config::grace`], cuts those that are left,
    /// and returns when every usage row is written.
    pub async fn stop(mut self) {
        drop(self.closing);
        if tokio::time::timeout(self.grace, drain(&mut self.servers)).await.is_err() {
            tracing::warn!("cutting the answers that are still running");
        }
        drop(self.cut);
        if tokio::time::timeout(AFTER_CUT, drain(&mut self.servers)).await.is_err() {
            tracing::warn!("some connections did not close");
            self.servers.shutdown().await;
        }
        self.recorder.finish().await;
        if let Err(error) = self.store.run(|db| project::note_running(db, None)).await {
            tracing::warn!(error = format!("{error:#}"), "the data file still says that the servers run");
        }
    }
}

async fn drain(servers: &mut JoinSet<std::io::Result<()>>) {
    while servers.join_next().await.is_some() {}
}

/// Starts the system. It must be called within a tokio runtime, and runs until it is stopped or dropped.
///
/// # Errors
/// If a setting is wrong, a port is taken, or the data file is unusable. The message names the setting.
pub async fn start(config: Config) -> Result<Running> {
    config.check()?;
    let upstream = Upstream::new(config.upstream.as_ref(), config.pace)?;
    let controls = Controls::new(&config)?;
    let elsewhere = config.functions.iter().map(|text| Proxy::parse(text)).collect::<Result<_>>()?;
    let supabase_listener = listen(config.host, config.supabase_port, "--supabase-port").await?;
    let gateway_listener = listen(config.host, config.gateway_port, "--gateway-port").await?;
    let page_listener = match config.www {
        Some(_) => Some(listen(config.host, config.page_port, "--page-port").await?),
        None => None,
    };
    let (store, identity) = open(config.data.clone()).await?;
    let identity = Arc::new(identity);
    store.run(|db| ledger::clear_reservations(db)).await?;
    set_budgets(&store, config.budgets.clone()).await?;

    let supabase_url = url(config.host, supabase_listener.local_addr()?.port());
    let gateway_url = url(config.host, gateway_listener.local_addr()?.port());
    let page_port =
        page_listener.as_ref().map(TcpListener::local_addr).transpose()?.map_or(config.page_port, |at| at.port());

    let counters = Counters::default();
    let activity = Activity::new(config.clock.clone());
    let kept = store.run(|db| origins::kept(db)).await?;
    let implied = implied_origins(config.host, page_port, &gateway_url);
    let mut allowed = [implied.clone(), config.allow_origins.clone(), kept].concat();
    allowed.sort();
    allowed.dedup();
    let origins = Origins::new(allowed, counters.clone(), activity.clone());
    let faults = Faults::new(config.faults.clone());
    let mailbox = Mailbox::default();
    let cut = CancellationToken::new();
    let recorder = Recorder::new(store.clone(), config.clock.clone(), counters.clone());
    let supabase = Supabase {
        store: store.clone(),
        identity: Arc::clone(&identity),
        clock: config.clock.clone(),
        counters: counters.clone(),
        hasher: Hasher::default(),
        issuer: format!("{supabase_url}/auth/v1"),
        session_ttl: config.session_ttl,
        reuse_interval: config.reuse_interval,
        limits: Limits::new(config.auth_limits),
        mailbox: mailbox.clone(),
        activity: activity.clone(),
        faults: faults.clone(),
        origins: origins.clone(),
        site_url: (page_port != 0).then(|| page_origin(config.host, page_port)),
    };
    let demo_user = if config.demo_user { Some(demo_user(&supabase).await?) } else { None };
    let gateway = Gateway {
        store: store.clone(),
        identity: Arc::clone(&identity),
        clock: config.clock.clone(),
        counters: counters.clone(),
        controls: controls.clone(),
        rates: Rates::default(),
        activity: activity.clone(),
        faults: faults.clone(),
        upstream: Arc::new(upstream),
        recorder: recorder.clone(),
        cut: cut.clone(),
    };
    let environment = supabase::Environment {
        supabase_url: supabase_url.clone(),
        gateway_url: gateway_url.clone(),
        host: config.host.to_string(),
        identity: Arc::clone(&identity),
        origins: origins.clone(),
        allow_anonymous: config.allow_anonymous,
        clock: config.clock.clone(),
    };
    let functions = Functions::new(environment, elsewhere, config.verify_jwt, counters.clone())?;

    let dashboard = Dashboard {
        store: store.clone(),
        identity: Arc::clone(&identity),
        clock: config.clock.clone(),
        activity,
        controls: controls.clone(),
        faults,
        mailbox: mailbox.clone(),
        origins: origins.clone(),
        functions: functions.clone(),
        supabase_url: supabase_url.clone(),
        gateway_url: gateway_url.clone(),
        implied,
        form_key: random::hex_key()?.into(),
    };
    let dashboard = dashboard.router(config.host);
    let closing = CancellationToken::new();
    let noted = gateway_url.clone();
    store.run(move |db| project::note_running(db, Some(&noted))).await?;
    let mut servers = JoinSet::new();
    let tools = tools::router(counters.clone(), mailbox.clone(), config.host);
    let gateway_router = gateway.router(&origins, config.exposed_headers.as_deref());
    servers.spawn(serve(supabase_listener, supabase.router(functions).merge(tools.clone()), &closing));
    servers.spawn(serve(gateway_listener, gateway_router.merge(tools).merge(dashboard), &closing));
    let mut page_url = None;
    if let (Some(listener), Some(www)) = (page_listener, &config.www) {
        let settings = page::Settings {
            supabase_url: supabase_url.clone(),
            behest_url: gateway_url.clone(),
            publishable_key: identity.publishable_key.clone(),
            function_name: supabase::FUNCTION_NAME,
        };
        servers.spawn(serve(listener, page::router(www, config.package.as_deref(), settings), &closing));
        page_url = Some(page_origin(config.host, page_port));
    }
    Ok(Running {
        supabase_url,
        gateway_url,
        page_url,
        publishable_key: identity.publishable_key.clone(),
        behest_key: identity.behest_key.clone(),
        demo_user,
        counters,
        clock: config.clock,
        identity,
        controls,
        mailbox,
        store,
        recorder,
        servers,
        closing: closing.drop_guard(),
        cut: cut.drop_guard(),
        grace: config.grace,
    })
}

async fn set_budgets(store: &Store, rules: Vec<BudgetRule>) -> Result<()> {
    let set = store.run(move |db| {
        rules.iter().try_for_each(|rule| ledger::set_budget(db, rule.scope, &rule.subject, Some(rule.allowance)))
    });
    set.await
}

async fn open(data: Option<std::path::PathBuf>) -> Result<(Store, Identity)> {
    let opening = tokio::task::spawn_blocking(move || {
        let store = Store::open(data.as_deref())?;
        let identity = Identity::load(&store)?;
        Ok((store, identity))
    });
    opening.await.context("opening the database was interrupted")?
}

async fn listen(host: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    TcpListener::bind((host, port)).await.map_err(|why| match why.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {port} of {host} is taken: end the program that uses it, or choose another port with {flag} \
             (0 picks a free one)"
        ),
        _ => anyhow!("port {port} of {host} cannot be used ({why}): choose another with {flag}"),
    })
}

fn serve(
    listener: TcpListener,
    router: Router,
    closing: &CancellationToken,
) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
    // Without this, small chunks of a stream wait for the acknowledgement of the ones before.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(closing.clone().cancelled_owned()).into_future()
}

/// The URL of a port. An address that means "all interfaces" is written as loopback.
fn url(host: IpAddr, port: u16) -> String {
    let host = match host {
        IpAddr::V4(v4) if v4.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V6(v6) if v6.is_unspecified() => "[::1]".to_owned(),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    format!("http://{host}:{port}")
}

/// `localhost` where it means the same, as people type it.
fn page_origin(host: IpAddr, port: u16) -> String {
    if host.is_loopback() { format!("http://localhost:{port}") } else { url(host, port) }
}

/// A page that the gateway serves itself is not of another origin, whatever header its browser sends.
fn implied_origins(host: IpAddr, page_port: u16, gateway_url: &str) -> Vec<String> {
    let mut origins = vec![gateway_url.to_owned()];
    if page_port != 0 {
        origins.extend([format!("http://localhost:{page_port}"), format!("http://127.0.0.1:{page_port}")]);
        origins.push(url(host, page_port));
    }
    origins
}

async fn demo_user(supabase: &Supabase) -> Result<DemoUser> {
    let password = random::word::<20>()?;
    supabase.ensure_user(DEMO_EMAIL, password.clone()).await?;
    Ok(DemoUser { email: DEMO_EMAIL.to_owned(), password })
}
