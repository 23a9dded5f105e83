//! Asks the two servers what a browser would ask before a page's calls, and says what to change. For real services, too.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use behest_client::wire::{FUNCTION_REQUEST_HEADERS, GATEWAY_REQUEST_HEADERS, decode_token};
use clap::Args;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

use super::printed::say;
use crate::domain::loopback::is_loopback;
use crate::domain::origins::is_origin;

const LIMIT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct Doctor {
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
    /// Name of an environment variable that holds a user's access token: its issuer and its life are looked at, too
    #[arg(long, value_name = "NAME")]
    session_env: Option<String>,
}

impl Doctor {
    pub(super) async fn run(self) -> Result<()> {
        let Self { origin, supabase_url, behest_url, function, session_env } = self;
        let mut findings = diagnose(&origin, &supabase_url, &behest_url, &function).await?;
        if let Some(name) = session_env {
            let token = std::env::var(&name).with_context(|| format!("--session-env: {name} is not set"))?;
            findings.push(session(token.trim(), &supabase_url, Timestamp::now().as_second()));
        }
        findings.iter().try_for_each(|finding| say(format_args!("{finding}")))?;
        let bad = findings.iter().filter(|finding| finding.problem.is_some()).count();
        ensure!(bad == 0, "{bad} of {} checks failed", findings.len());
        Ok(())
    }
}

/// One thing that was looked at.
struct Finding {
    what: String,
    /// What is wrong and what to change; `None` if it is as it should be.
    problem: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            None => write!(f, "ok    {}", self.what),
            Some(problem) => write!(f, "FAIL  {}\n      {problem}", self.what),
        }
    }
}

/// Both preflights of a page at `origin`. A server that refuses or cannot be reached is a finding.
async fn diagnose(origin: &str, supabase_url: &str, behest_url: &str, function: &str) -> Result<Vec<Finding>> {
    ensure!(
        is_origin(origin),
        "--origin: {origin:?} is not an origin: write scheme, host and port as in http://localhost:3000, without a path"
    );
    let url = |flag: &str, base: &str, path: &str| {
        let base = base.trim_end_matches('/').trim_end_matches("/v1");
        let url = Url::parse(&format!("{base}{path}")).with_context(|| format!("{flag}: {base:?} is not a URL"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "{flag}: {base:?} must begin with https:// or http://");
        Ok(url)
    };
    let function_url = url("--supabase-url", supabase_url, &format!("/functions/v1/{function}"))?;
    let chat_url = url("--behest-url", behest_url, "/v1/chat/completions")?;
    let client = || Client::builder().timeout(LIMIT).redirect(reqwest::redirect::Policy::none());
    // As a browser goes, which asks no proxy for what is on this machine.
    let (far, near) = (client().build()?, client().no_proxy().build()?);
    let http = |url: &Url| if is_loopback(url) { &near } else { &far };
    // The function that the documentation shows allows these two and no other.
    let plain = "authorization, content-type";
    let mut findings = Vec::new();
    for (server, url, headers, fix) in [
        ("the token function", &function_url, plain, "in the function: set CORS_ORIGIN to"),
        (
            "the gateway",
            &chat_url,
            GATEWAY_REQUEST_HEADERS,
            "in the dashboard, Project, Settings, Allowed Origins: add",
        ),
    ] {
        let problem = preflight(http(url), url, origin, headers).await.err().map(|refusal| match refusal {
            Refusal::Origin(said) => format!("{said}; {fix} {origin}"),
            Refusal::Other(said) => said,
        });
        findings.push(Finding { what: format!("{server} lets pages of {origin} call ({url})"), problem });
    }
    let missing = [
        (
            &function_url,
            "there is no function of this name: deploy it, or check --function, and whether the two URLs are swapped",
        ),
        (&chat_url, "there is no gateway at this URL: check --behest-url, and whether the two URLs are swapped"),
    ];
    for (finding, (url, why)) in findings.iter_mut().zip(missing) {
        if is_missing(http(url), url, origin).await {
            finding.problem = Some(why.to_owned());
        }
    }
    if findings.first().is_some_and(|finding| finding.problem.is_none()) {
        let invoke = preflight(http(&function_url), &function_url, origin, FUNCTION_REQUEST_HEADERS).await;
        let problem = invoke.err().map(|refusal| format!("{}; calls with fetch work all the same", refusal.said()));
        findings.push(Finding { what: "supabase.functions.invoke may call the token function".to_owned(), problem });
    }
    for (server, url) in [("the token function", &function_url), ("the gateway", &chat_url)] {
        findings.extend(clock(http(url), server, url).await);
    }
    Ok(findings)
}

/// How far the two clocks may be apart: more, and tokens are refused as expired or as not valid yet.
const CLOCKS_APART: i64 = 30;

/// Compares this machine's clock with that of the server's answer, which has come just now.
async fn clock(http: &Client, server: &str, url: &Url) -> Option<Finding> {
    let answer = http.request(Method::OPTIONS, url.clone()).send().await.ok()?;
    let date = DateTimeParser::new().parse_timestamp(one(answer.headers(), "date")?).ok()?;
    let ahead = Timestamp::now().as_second() - date.as_second();
    let problem = (ahead.abs() > CLOCKS_APART).then(|| {
        let (side, apart) = (if ahead > 0 { "ahead of" } else { "behind" }, ahead.abs());
        format!("this machine is {apart} s {side} it: set the clock of the one that is wrong, by NTP")
    });
    Some(Finding { what: format!("the clocks of this machine and {server} agree"), problem })
}

/// Is this a session of that project, and not over?
fn session(token: &str, supabase_url: &str, now: i64) -> Finding {
    let what = "the access token is a session of the Supabase project".to_owned();
    let expected = format!("{}/auth/v1", supabase_url.trim_end_matches('/'));
    let problem = match decode_token(token) {
        None => Some("it is not a JWT: give session.access_token as it is".to_owned()),
        Some(claims) => {
            let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or("nobody");
            let end = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
            if issuer != expected {
                Some(format!("it was issued by {issuer}, not by {expected}: page and function must use one project"))
            } else if end <= now {
                Some(format!("it ended {} s ago: refresh the session", now - end))
            } else {
                None
            }
        }
    };
    Finding { what, problem }
}

/// A call without credentials, which function and gateway refuse, and a server without them does not know.
async fn is_missing(http: &Client, url: &Url, origin: &str) -> bool {
    let answer = http.post(url.clone()).header("origin", origin).send().await;
    answer.is_ok_and(|answer| matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED))
}

enum Refusal {
    /// The origin is not allowed.
    Origin(String),
    Other(String),
}

impl Refusal {
    fn said(self) -> String {
        match self {
            Self::Origin(said) | Self::Other(said) => said,
        }
    }
}

async fn preflight(http: &Client, url: &Url, origin: &str, headers: &str) -> Result<(), Refusal> {
    let request = http
        .request(Method::OPTIONS, url.clone())
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", headers.replace(' ', ""));
    let answer = request.send().await.map_err(|error| {
        let error = format!("{:#}", anyhow::Error::new(error.without_url()));
        Refusal::Other(format!("it cannot be reached ({error}): check the URL, and whether it runs"))
    })?;
    let status = answer.status();
    let allowed = one(answer.headers(), "access-control-allow-origin");
    if allowed.as_deref().is_none_or(|allowed| allowed != origin && allowed != "*") {
        let said = match allowed {
            None if !status.is_success() => format!("it answers the preflight with {status}"),
            None => "it does not allow this origin".to_owned(),
            Some(other) => format!("it allows {other} instead of this origin"),
        };
        return Err(Refusal::Origin(said));
    }
    if !status.is_success() {
        return Err(Refusal::Other(format!("it answers the preflight with {status}; browsers want 200 or 204")));
    }
    let listed = one(answer.headers(), "access-control-allow-headers").unwrap_or_default();
    // POST needs no permission of its own, and a star does not stand for authorization.
    let missing: Vec<_> = headers
        .split(", ")
        .filter(|name| !lists(&listed, name) && (*name == "authorization" || !lists(&listed, "*")))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Other(format!("its Access-Control-Allow-Headers lacks {}", missing.join(", "))))
    }
}

fn one(headers: &HeaderMap, name: &'static str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(HeaderName::from_static(name)).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn lists(list: &str, name: &str) -> bool {
    list.split(',').any(|item| item.trim().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_session_of_another_project_or_of_yesterday_is_told() {
        let said = |claims: Value| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
            session(&token, "https://one.supabase.co/", 1000).problem.unwrap_or_default()
        };
        let ours = "https://one.supabase.co/auth/v1";
        assert_eq!(said(json!({ "iss": ours, "exp": 1001 })), "");
        assert!(said(json!({ "iss": ours, "exp": 940 })).contains("ended 60 s ago"));
        let other = said(json!({ "iss": "https://two.supabase.co/auth/v1", "exp": 1001 }));
        assert!(other.contains("issued by https://two.supabase.co/auth/v1, not by https://one"), "{other}");
        assert!(session("sb_publishable_x", "https://one.supabase.co", 0).problem.unwrap().contains("not a JWT"));
    }
}
