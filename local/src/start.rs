//! Starts the three origins.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::config::Config;
use crate::dashboard::Dashboard;
use crate::domain::activity::Activity;
use crate::domain::controls::{Controls, Switches, patterns};
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::mail::Mailbox;
use crate::domain::origins::Origins;
use crate::domain::random;
use crate::running::{DemoUser, Running};
use crate::servers::gateway::{Gateway, Rates, Recorder, Responder};
use crate::servers::supabase::{
    FUNCTION_NAME, Functions, Hasher, Proxy, RateLimits, Supabase, TokenFunction, ensure_user,
};
use crate::servers::{page, port, tools};
use crate::store::{ledger, settings};

const DEMO_EMAIL: &str = "demo@example.com";

/// Starts the system. It must be called within a tokio runtime, and runs until it is stopped or dropped.
///
/// # Errors
/// If a setting is wrong, a port is taken, or the data file is unusable. The message names the setting.
pub async fn start(config: Config) -> Result<Running> {
    config.check()?;
    let responder = Arc::new(Responder::new(config.upstream.as_ref(), config.pace)?);
    let controls = Controls::new(Switches {
        tier_limits: config.tier_limits,
        blocked: patterns(&config.block)?,
        error_shape: config.error_shape,
        mint_reply: config.mint_reply,
        ..Switches::default()
    });
    let elsewhere = config.functions.iter().map(|text| Proxy::parse(text)).collect::<Result<_>>()?;
    let ports = Ports::bind(&config).await?;
    let admin = Admin::load(config.data.as_deref(), config.clock.clone()).await?;
    let shared = Shared::new(&config, &ports, admin, controls).await?;

    let supabase = shared.supabase(&config, &ports);
    let demo_user = if config.demo_user { Some(demo_user(&supabase).await?) } else { None };
    let token_function = TokenFunction {
        supabase_url: ports.supabase_url.clone(),
        gateway_url: ports.gateway_url.clone(),
        host: config.host.to_string(),
        identity: Arc::clone(&shared.admin.identity),
        origins: shared.origins.clone(),
        allow_anonymous: config.allow_anonymous,
        clock: config.clock.clone(),
    };
    let functions = Functions::new(token_function, elsewhere, config.verify_jwt, shared.counters.clone())?;
    let recorder = Recorder::new(shared.admin.store.clone(), config.clock.clone(), shared.counters.clone());
    let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
    let gateway = shared.gateway(responder, recorder.clone(), cut.clone());
    let dashboard = shared.dashboard(&ports, functions.clone())?;
    let tools = tools::router(shared.counters.clone(), shared.mailbox.clone(), config.host);

    let running = ports.gateway_url.clone();
    shared.admin.store.run(move |db| settings::set(db, settings::RUNNING, Some(&running))).await?;
    let mut servers = JoinSet::new();
    let supabase = supabase.router(functions).merge(tools.clone());
    let gateway = gateway.router(&shared.origins, config.exposed_headers.as_deref());
    let gateway = gateway.merge(tools).merge(dashboard.router(config.host));
    servers.spawn(port::serve(ports.supabase, supabase, &closing));
    servers.spawn(port::serve(ports.gateway, gateway, &closing));
    let mut page_url = None;
    if let (Some(listener), Some(www)) = (ports.page, &config.www) {
        let settings = page::Settings {
            supabase_url: ports.supabase_url.clone(),
            behest_url: ports.gateway_url.clone(),
            publishable_key: shared.admin.identity.publishable_key.clone(),
            function_name: FUNCTION_NAME,
        };
        servers.spawn(port::serve(listener, page::router(www, config.package.as_deref(), settings), &closing));
        page_url = Some(port::page_origin(config.host, ports.page_port));
    }
    Ok(Running {
        supabase_url: ports.supabase_url,
        gateway_url: ports.gateway_url,
        page_url,
        publishable_key: shared.admin.identity.publishable_key.clone(),
        behest_key: shared.admin.identity.behest_key.clone(),
        demo_user,
        admin: shared.admin,
        counters: shared.counters,
        controls: shared.controls,
        mailbox: shared.mailbox,
        recorder,
        servers,
        closing: closing.drop_guard(),
        cut: cut.drop_guard(),
        grace: config.grace,
    })
}

/// The ports that are ours, and what they are called.
struct Ports {
    supabase: TcpListener,
    gateway: TcpListener,
    page: Option<TcpListener>,
    supabase_url: String,
    gateway_url: String,
    page_port: u16,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self> {
        let supabase = port::listen(config.host, config.supabase_port, "--supabase-port").await?;
        let gateway = port::listen(config.host, config.gateway_port, "--gateway-port").await?;
        let page = match config.www {
            Some(_) => Some(port::listen(config.host, config.page_port, "--page-port").await?),
            None => None,
        };
        Ok(Self {
            supabase_url: port::url(config.host, supabase.local_addr()?.port()),
            gateway_url: port::url(config.host, gateway.local_addr()?.port()),
            page_port: page.as_ref().map(TcpListener::local_addr).transpose()?.map_or(config.page_port, |at| at.port()),
            supabase,
            gateway,
            page,
        })
    }
}

/// What more than one server uses.
struct Shared {
    admin: Admin,
    controls: Controls,
    counters: Counters,
    activity: Activity,
    faults: Faults,
    mailbox: Mailbox,
    origins: Origins,
    /// Origins that are allowed at every start, without being asked for.
    implied: Vec<String>,
}

impl Shared {
    async fn new(config: &Config, ports: &Ports, admin: Admin, controls: Controls) -> Result<Self> {
        let budgets = config.budgets.clone();
        let kept = admin.store.run(move |db| {
            ledger::clear_reservations(db)?;
            for rule in budgets {
                ledger::set_budget(db, rule.scope, &rule.subject, Some(rule.allowance))?;
            }
            settings::get(db, settings::ORIGINS)
        });
        let kept = kept.await?.unwrap_or_default().lines().map(str::to_owned).collect();
        let implied = implied_origins(config.host, ports);
        let mut allowed = [implied.clone(), config.allow_origins.clone(), kept].concat();
        allowed.sort();
        allowed.dedup();
        let counters = Counters::default();
        let activity = Activity::new(config.clock.clone());
        let origins = Origins::new(allowed, counters.clone(), activity.clone());
        let faults = Faults::new(config.faults.clone());
        Ok(Self { admin, controls, counters, activity, faults, mailbox: Mailbox::default(), origins, implied })
    }

    fn supabase(&self, config: &Config, ports: &Ports) -> Supabase {
        Supabase {
            store: self.admin.store.clone(),
            identity: Arc::clone(&self.admin.identity),
            clock: self.admin.clock.clone(),
            counters: self.counters.clone(),
            hasher: Hasher::default(),
            issuer: format!("{}/auth/v1", ports.supabase_url),
            session_ttl: config.session_ttl,
            reuse_interval: config.reuse_interval,
            rate_limits: RateLimits::new(config.auth_limits),
            mailbox: self.mailbox.clone(),
            activity: self.activity.clone(),
            faults: self.faults.clone(),
            origins: self.origins.clone(),
            site_url: (ports.page_port != 0).then(|| port::page_origin(config.host, ports.page_port)),
        }
    }

    fn gateway(&self, responder: Arc<Responder>, recorder: Recorder, cut: CancellationToken) -> Gateway {
        Gateway {
            store: self.admin.store.clone(),
            identity: Arc::clone(&self.admin.identity),
            clock: self.admin.clock.clone(),
            counters: self.counters.clone(),
            controls: self.controls.clone(),
            rates: Rates::default(),
            activity: self.activity.clone(),
            faults: self.faults.clone(),
            responder,
            recorder,
            cut,
        }
    }

    fn dashboard(&self, ports: &Ports, functions: Functions) -> Result<Dashboard> {
        Ok(Dashboard {
            admin: self.admin.clone(),
            activity: self.activity.clone(),
            controls: self.controls.clone(),
            faults: self.faults.clone(),
            mailbox: self.mailbox.clone(),
            origins: self.origins.clone(),
            functions,
            supabase_url: ports.supabase_url.clone(),
            gateway_url: ports.gateway_url.clone(),
            implied: self.implied.clone(),
            form_key: random::hex_key()?.into(),
        })
    }
}

/// A page that the gateway serves itself is not of another origin, whatever header its browser sends.
fn implied_origins(host: IpAddr, ports: &Ports) -> Vec<String> {
    let mut origins = vec![ports.gateway_url.clone()];
    let page_port = ports.page_port;
    if page_port != 0 {
        origins.extend([format!("http://localhost:{page_port}"), format!("http://127.0.0.1:{page_port}")]);
        origins.push(port::url(host, page_port));
    }
    origins
}

async fn demo_user(supabase: &Supabase) -> Result<DemoUser> {
    let password = random::word::<20>()?;
    ensure_user(supabase, DEMO_EMAIL, password.clone()).await?;
    Ok(DemoUser { email: DEMO_EMAIL.to_owned(), password })
}
