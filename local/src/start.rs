//! Starts the three origins.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::config::Config;
use crate::dashboard::{Dashboard, Notices};
use crate::domain::activity::Activity;
use crate::domain::controls::{Controls, Switches, patterns};
use crate::domain::counters::Counters;
use crate::domain::faults::Faults;
use crate::domain::mail::Mailbox;
use crate::domain::origins::Origins;
use crate::domain::random;
use crate::running::{DemoUser, Running};
use crate::servers::gateway::{Gateway, Rates, Recorder, Responder, Stop};
use crate::servers::shared::Shared;
use crate::servers::supabase::{
    FUNCTION_NAME, Functions, Hasher, Proxy, RateLimits, Supabase, TokenFunction, ensure_user,
};
use crate::servers::this_machine::named;
use crate::servers::{page, port, tools};
use crate::store::{Lock, budgets, ledger, settings};

const DEMO_EMAIL: &str = "demo@example.com";

/// Starts the system. It must be called within a tokio runtime, and runs until it is stopped or dropped.
///
/// # Errors
/// If a setting is wrong, a port is taken, or the data file is unusable. The message names the setting.
pub async fn start(config: Config) -> Result<Running> {
    config.check()?;
    let responder = Arc::new(Responder::new(&config)?);
    let elsewhere = config.functions.iter().map(|text| Proxy::parse(text)).collect::<Result<_>>()?;
    let controls = Controls::new(Switches {
        tier_limits: config.tier_limits,
        blocked: patterns(&config.block)?,
        error_shape: config.error_shape,
        mint_reply: config.mint_reply,
    });
    let ports = Ports::bind(&config).await?;
    let lock = Lock::take(config.data.as_deref())?;
    let (shared, implied) = share(&config, &ports, controls).await?;

    let supabase = supabase(&config, &ports, &shared)?;
    let demo_user = if config.demo_user { Some(demo_user(&supabase).await?) } else { None };
    let functions = functions(&config, &shared, elsewhere)?;
    let recorder = Recorder::new(&shared);
    let (closing, cut) = (CancellationToken::new(), CancellationToken::new());
    let gateway = Gateway {
        shared: Arc::clone(&shared),
        rates: Rates::default(),
        responder,
        recorder: recorder.clone(),
        stop: Stop { cut: cut.clone(), controls: shared.controls.clone() },
    };
    let dashboard = Dashboard {
        shared: Arc::clone(&shared),
        functions: functions.clone(),
        implied,
        notices: Notices::default(),
        form_key: random::hex_key()?.into(),
    };

    let url = shared.gateway_url.clone();
    shared.store.run(move |db| settings::set(db, settings::RUNNING, Some(&url))).await?;
    let tools = tools::router(shared.counters.clone(), shared.mailbox.clone(), config.host);
    // Whoever lets other machines in cannot know all names they use.
    let named = middleware::from_fn_with_state((!config.expose).then_some(config.host), named);
    let page = page(&config, &shared, &supabase, demo_user.as_ref());
    let supabase = supabase.router(functions).layer(named.clone()).merge(tools.clone());
    let gateway = gateway.router(config.exposed_headers.as_deref()).layer(named.clone());
    let gateway = gateway.merge(tools).merge(dashboard.router(config.host));
    let mut servers = JoinSet::new();
    let serve = |listener, router| port::serve(listener, router, config.head_limit, closing.clone());
    servers.spawn(serve(ports.supabase, supabase));
    servers.spawn(serve(ports.gateway, gateway));
    let mut page_url = None;
    if let (Some(listener), Some(page)) = (ports.page, page) {
        servers.spawn(serve(listener, page.layer(named)));
        page_url = Some(port::page_origin(config.host, ports.page_port));
    }
    Ok(Running {
        supabase_url: shared.supabase_url.clone(),
        gateway_url: shared.gateway_url.clone(),
        page_url,
        publishable_key: shared.identity.publishable_key.clone(),
        behest_key: shared.identity.behest_key.clone(),
        demo_user,
        admin: shared.admin(),
        shared,
        recorder,
        servers,
        _lock: lock,
        closing: closing.drop_guard(),
        cut: cut.drop_guard(),
        grace: config.grace,
    })
}

/// The ports that are ours.
struct Ports {
    supabase: TcpListener,
    gateway: TcpListener,
    page: Option<TcpListener>,
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
        let page_port =
            page.as_ref().map(TcpListener::local_addr).transpose()?.map_or(config.page_port, |at| at.port());
        Ok(Self { supabase, gateway, page, page_port })
    }
}

/// What the servers share, and the origins that are allowed without being asked for.
async fn share(config: &Config, ports: &Ports, controls: Controls) -> Result<(Arc<Shared>, Vec<String>)> {
    let Admin { store, identity, clock } = Admin::load(config.data.as_deref(), config.clock.clone()).await?;
    let budgets = config.budgets.clone();
    let kept = store.run(move |db| {
        ledger::clear_reservations(db)?;
        for rule in budgets {
            budgets::set(db, rule.scope, &rule.subject, Some(rule.allowance))?;
        }
        settings::get(db, settings::ORIGINS)
    });
    let kept = kept.await?.unwrap_or_default().lines().map(str::to_owned).collect();
    let gateway_url = port::url(config.host, ports.gateway.local_addr()?.port());
    let implied = implied_origins(config.host, ports.page_port, &gateway_url);
    let mut allowed = [implied.clone(), config.allow_origins.clone(), kept].concat();
    allowed.sort();
    allowed.dedup();
    let (counters, activity) = (Counters::default(), Activity::new(clock.clone()));
    let shared = Shared {
        store,
        identity,
        clock,
        origins: Origins::new(allowed, counters.clone(), activity.clone()),
        counters,
        controls,
        activity,
        faults: Faults::new(config.faults.clone()),
        mailbox: Mailbox::default(),
        supabase_url: port::url(config.host, ports.supabase.local_addr()?.port()),
        gateway_url,
    };
    shared.restore().await?;
    Ok((Arc::new(shared), implied))
}

fn supabase(config: &Config, ports: &Ports, shared: &Arc<Shared>) -> Result<Supabase> {
    Ok(Supabase {
        shared: Arc::clone(shared),
        hasher: Hasher::new()?,
        issuer: format!("{}/auth/v1", shared.supabase_url),
        session_ttl: config.session_ttl,
        reuse_interval: config.reuse_interval,
        rate_limits: RateLimits::new(config.auth_limits),
        site_url: (ports.page_port != 0).then(|| port::page_origin(config.host, ports.page_port)),
    })
}

fn functions(config: &Config, shared: &Arc<Shared>, elsewhere: BTreeMap<String, Proxy>) -> Result<Functions> {
    let token_function = TokenFunction {
        shared: Arc::clone(shared),
        host: config.host.to_string(),
        allow_anonymous: config.allow_anonymous,
        ttl: config.token_ttl,
    };
    Functions::new(token_function, elsewhere, config.verify_jwt)
}

/// The page's origin, if there is a page to serve.
fn page(config: &Config, shared: &Shared, supabase: &Supabase, demo_user: Option<&DemoUser>) -> Option<Router> {
    let www = config.www.as_deref()?;
    let settings = page::Settings {
        supabase_url: shared.supabase_url.clone(),
        behest_url: shared.gateway_url.clone(),
        publishable_key: shared.identity.publishable_key.clone(),
        function_name: FUNCTION_NAME,
        demo_user: demo_user.map(|user| user.email.clone()),
    };
    Some(page::router(www, config.package.as_deref(), settings, supabase.clone(), config.host))
}

/// A page that the gateway serves itself is not of another origin, whatever header its browser sends.
fn implied_origins(host: IpAddr, page_port: u16, gateway_url: &str) -> Vec<String> {
    let mut origins = vec![gateway_url.to_owned()];
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
