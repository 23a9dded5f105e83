//! The native subject of `benches/server.mjs`.
//!
//! `mints COUNT` mints so often in the process, for sessions that are new and for one that is known, against what the crypto
//! library takes for one verification and one signature, and prints the microseconds of CPU for each: `{"behest": …, "known": …,
//! "crypto": …, "sign": …}`. `keys ROUNDS` measures a mint, and the start of an endpoint, by the number of keys in the project's
//! key set, for `benches/growth.mjs`. `serve` is the token endpoint that the environment sets up, under axum.

use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use behest_client::server::{Grant, Settings, TokenEndpoint, User, axum::router};
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SUPABASE: &str = "https://ref.supabase.co";
const PAGE: &str = "https://app.example.com";
const ROUNDS: usize = 21;
/// More than the endpoint remembers: by the time one comes again, it is forgotten.
const NEW_SESSIONS: usize = 5000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mints", count] => {
            let count = count.parse()?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(mints(count))
        }
        ["keys", rounds] => {
            let rounds = rounds.parse()?;
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(keys(rounds))
        }
        ["serve"] => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve()),
        _ => Err("usage: server-bench mints COUNT | keys ROUNDS | serve".into()),
    }
}

async fn serve() -> Result<()> {
    let endpoint = TokenEndpoint::from_env()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    Ok(axum::serve(listener, router(endpoint)).await?)
}

/// Users' sessions, the key that signed them, and what the endpoint is set up with.
struct Setting {
    sessions: Vec<String>,
    /// Of the last one.
    signed: String,
    sealed: Vec<u8>,
    project: EcdsaKeyPair,
    tenant: KeyPair,
}

impl Setting {
    fn new() -> Result<Self> {
        let random = SystemRandom::new();
        let project = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let tenant = KeyPair::generate(KeySize::Rsa2048)?;
        let encode = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let header = encode(json!({"alg": "ES256", "typ": "JWT", "kid": "current"}));
        let claims = |session_id: usize| {
            encode(json!({
                "iss": format!("{SUPABASE}/auth/v1"), "aud": "authenticated", "sub": "7c0e3f0a-6f57-4b56-9c1b-0d5f3a9b2c11",
                "iat": now, "exp": now + 3600, "role": "authenticated", "email": "ada@example.com", "is_anonymous": false,
                "session_id": format!("0b6c6a8e-58a8-4a5b-9a3e-{session_id:012}"), "aal": "aal1",
                "app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": {"name": "Ada Lovelace"},
                "amr": [{"method": "password", "timestamp": 1_764_000_000}],
            }))
        };
        let (mut signed, mut sealed, mut sessions) = (String::new(), Vec::new(), Vec::new());
        for session_id in 0..NEW_SESSIONS {
            signed = format!("{header}.{}", claims(session_id));
            sealed = project.sign(&random, signed.as_bytes())?.as_ref().to_vec();
            sessions.push(format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(&sealed)));
        }
        Ok(Self { sessions, signed, sealed, project, tenant })
    }

    /// `others` keys of the project's past, and the one that signed the sessions.
    fn key_set(&self, others: &[EcdsaKeyPair]) -> String {
        let jwk = |key: &EcdsaKeyPair, kid: String| {
            let point = key.public_key().as_ref();
            json!({
                "kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig",
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
            })
        };
        let mut keys: Vec<_> = others.iter().enumerate().map(|(n, key)| jwk(key, format!("former-{n}"))).collect();
        keys.push(jwk(&self.project, "current".to_owned()));
        json!({"keys": keys}).to_string()
    }

    fn endpoint(&self, key_set: &str) -> Result<TokenEndpoint> {
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.tenant)?;
        let settings = Settings::from_lookup(|_| None)
            .supabase_url(SUPABASE)
            .supabase_jwks(key_set)
            .behest_key(STANDARD.encode(pkcs8.as_ref()))
            .behest_kid("key-1")
            .behest_tenant_id("tenant-1")
            .behest_project_id("project-1")
            .cors_origin([PAGE])
            .policy(async |_: User| Ok(Grant::tier(2)));
        Ok(TokenEndpoint::new(settings)?)
    }

    /// A mint of one session, so often.
    async fn mint(&self, endpoint: &TokenEndpoint, count: usize) -> Result<()> {
        Self::mint_each(endpoint, std::iter::repeat_n(&self.sessions[0], count)).await
    }

    /// A mint of each session.
    async fn mint_each(endpoint: &TokenEndpoint, sessions: impl Iterator<Item = &String>) -> Result<()> {
        for session in sessions {
            let request = Request::post("/").header("authorization", session).header("origin", PAGE);
            let request = request.body(Bytes::from_static(br#"{"session_id":"conversation-1"}"#))?;
            let response = endpoint.handle(request).await;
            if response.status() != StatusCode::OK {
                return Err(String::from_utf8_lossy(response.body()).into_owned().into());
            }
        }
        Ok(())
    }
}

async fn keys(rounds: usize) -> Result<()> {
    const SIZES: [usize; 6] = [1, 4, 16, 64, 256, 1024];
    /// So many that a sample is long beside a tick of the clock.
    const MINTS: usize = 400;
    const STARTS: usize = 40;
    let setting = Setting::new()?;
    let key = || EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let former = (1..SIZES[5]).map(|_| key()).collect::<std::result::Result<Vec<_>, _>>()?;
    let sets: Vec<_> = SIZES.iter().map(|size| setting.key_set(&former[..size - 1])).collect();
    let endpoints = sets.iter().map(|set| setting.endpoint(set)).collect::<Result<Vec<_>>>()?;
    let mut times = vec![(Vec::new(), Vec::new()); SIZES.len()];
    // Interleaved, so that whatever else the machine does falls on all sizes alike.
    for _ in 0..rounds {
        for (index, (mints, starts)) in times.iter_mut().enumerate() {
            let before = cpu();
            setting.mint(&endpoints[index], MINTS).await?;
            mints.push((cpu() - before) / MINTS as u32);
            let before = cpu();
            for _ in 0..STARTS {
                drop(setting.endpoint(&sets[index])?);
            }
            starts.push((cpu() - before) / STARTS as u32);
        }
    }
    for (size, (mut mints, mut starts)) in SIZES.into_iter().zip(times) {
        mints.sort();
        starts.sort();
        for (series, time) in
            [("a mint", mints[rounds / 2]), ("the start of an endpoint, which reads the set", starts[rounds / 2])]
        {
            println!("{}", json!({"plot": "keys", "series": series, "size": size, "cost": time.as_secs_f64() * 1e3}));
        }
    }
    Ok(())
}

async fn mints(count: usize) -> Result<()> {
    let setting = Setting::new()?;
    let endpoint = setting.endpoint(&setting.key_set(&[]))?;
    let Setting { signed, sealed, project, tenant, .. } = &setting;
    let random = SystemRandom::new();
    let public = ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, project.public_key().as_ref())?;

    let (mut ours, mut known, mut theirs, mut signatures) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut new = setting.sessions.iter().cycle();
    for _ in 0..ROUNDS {
        let before = cpu();
        Setting::mint_each(&endpoint, new.by_ref().take(count)).await?;
        ours.push(cpu() - before);
        let before = cpu();
        setting.mint(&endpoint, count).await?;
        known.push(cpu() - before);
        let before = cpu();
        for _ in 0..count {
            public.verify_sig(signed.as_bytes(), sealed)?;
            let mut signature = vec![0; tenant.public_modulus_len()];
            tenant.sign(&signature::RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)?;
        }
        theirs.push(cpu() - before);
        let before = cpu();
        for _ in 0..count {
            let mut signature = vec![0; tenant.public_modulus_len()];
            tenant.sign(&signature::RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)?;
        }
        signatures.push(cpu() - before);
    }
    let each = |mut times: Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64() * 1e6 / count as f64
    };
    let told = json!({"behest": each(ours), "known": each(known), "crypto": each(theirs), "sign": each(signatures)});
    println!("{told}");
    Ok(())
}

/// The CPU time of this thread, where the system tells it; else the time.
fn cpu() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}
