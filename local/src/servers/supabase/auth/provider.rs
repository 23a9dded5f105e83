//! Sign-in through a provider: a page of this server stands in for it. The way back is PKCE's code, or tokens in the
//! address's fragment, as the caller asked for.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use maud::{DOCTYPE, PreEscaped, html};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::AuthError;
use super::input::{Reply, address, parse};
use super::way_back;
use crate::domain::origins::origin_of;
use crate::servers::supabase::state::Supabase;
use crate::store::flows::{self, Flow};
use crate::store::{sessions, users};
use crate::style;

/// What the page sends the browser here with.
#[derive(Debug, Deserialize)]
pub(crate) struct Authorize {
    #[serde(default)]
    provider: String,
    #[serde(default)]
    redirect_to: String,
    #[serde(default)]
    code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    #[serde(default)]
    email: String,
}

impl Authorize {
    fn check(&self) -> Result<(), AuthError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if self.provider.is_empty() || self.provider.len() > 40 || !self.provider.chars().all(plain) {
            return Err(AuthError::bad_request("validation_failed", "Unsupported provider: provider is not enabled"));
        }
        let method = self.code_challenge_method.to_ascii_lowercase();
        if !self.code_challenge.is_empty() && !matches!(method.as_str(), "s256" | "plain") {
            return Err(AuthError::bad_request("validation_failed", "code_challenge_method must be s256 or plain"));
        }
        if self.code_challenge.len() > 128 {
            return Err(AuthError::bad_request("validation_failed", "code_challenge is too long"));
        }
        Ok(())
    }
}

/// `GET /authorize`: the provider's page.
pub(crate) async fn page(
    State(supabase): State<Supabase>,
    asked: Result<Query<Authorize>, QueryRejection>,
) -> Result<Response, AuthError> {
    supabase.shared.counters.add("auth.authorize");
    let Query(asked) = asked?;
    asked.check()?;
    Ok(show(&supabase, &asked, None))
}

fn show(supabase: &Supabase, asked: &Authorize, problem: Option<&str>) -> Response {
    let hidden = [
        ("provider", &asked.provider),
        ("redirect_to", &asked.redirect_to),
        ("code_challenge", &asked.code_challenge),
        ("code_challenge_method", &asked.code_challenge_method),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Sign in with " (asked.provider) }
                meta name="viewport" content="width=device-width";
                style { (PreEscaped(style::PLAIN)) }
            }
            body {
                main.card.narrow {
                    h1 { "Sign in with " (asked.provider) }
                    p.muted { "behest-local stands in for this provider. Any address will do." }
                    form method="post" action="authorize" {
                        @for (name, value) in hidden {
                            input type="hidden" name=(name) value=(value);
                        }
                        @if let Some(problem) = problem {
                            p.problem role="alert" { (problem) }
                        }
                        label { "E-mail" input name="email" type="email" required autofocus value=(asked.email); }
                        button.primary { "Continue" }
                    }
                }
            }
        }
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy(supabase, asked)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, page).into_response()
}

/// Nothing runs, nothing but the page's own style counts, and the form leads to here and to where the browser goes back to.
fn policy(supabase: &Supabase, asked: &Authorize) -> HeaderValue {
    let style = STANDARD.encode(digest(&SHA256, style::PLAIN.as_bytes()));
    let back = supabase.way_back(&asked.redirect_to).ok().and_then(|url| origin_of(&url)).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self' {back}; frame-ancestors 'none'; \
         base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// `POST /authorize`: the provider says who it is, and the browser goes back to the page.
pub(crate) async fn come_back(
    State(supabase): State<Supabase>,
    asked: Result<Form<Authorize>, FormRejection>,
) -> Result<Response, AuthError> {
    let Form(asked) = asked.map_err(|why| AuthError::bad_request("validation_failed", why.body_text()))?;
    asked.check()?;
    let Ok(email) = address(&asked.email) else {
        return Ok(
            (StatusCode::BAD_REQUEST, show(&supabase, &asked, Some("This is not an e-mail address."))).into_response()
        );
    };
    let mut back = supabase.way_back(&asked.redirect_to)?;
    let (now, provider) = (supabase.shared.clock.now_ms(), asked.provider.clone());
    let user = supabase.shared.store.run(move |db| match users::by_email(db, &email)? {
        Some(user) => Ok(Some(user)),
        None => users::add_from(db, &provider, &email, now),
    });
    let user = user.await?.ok_or_else(|| AuthError::unprocessable("user_already_exists", "User already registered"))?;
    if asked.code_challenge.is_empty() {
        let grant = supabase.shared.store.run(move |db| sessions::start(db, user, "oauth", now)).await?;
        back.set_fragment(Some(&way_back::session(&supabase.session(&grant)?)));
    } else {
        let flow = Flow { user_id: user.id, challenge: asked.code_challenge, method: asked.code_challenge_method };
        let code = supabase.shared.store.run(move |db| flows::begin(db, &flow, now)).await?;
        back.query_pairs_mut().append_pair("code", &code);
    }
    Ok(Redirect::to(back.as_str()).into_response())
}

#[derive(Deserialize, Serialize)]
struct Proof {
    #[serde(default)]
    auth_code: String,
    #[serde(default)]
    code_verifier: String,
}

/// `POST /token?grant_type=pkce`
pub(crate) async fn exchange(supabase: &Supabase, body: Result<Bytes, BytesRejection>) -> Reply {
    let Proof { auth_code, code_verifier } = parse(body)?;
    if auth_code.is_empty() || code_verifier.is_empty() {
        let message = "invalid request: both auth code and code verifier should be non-empty";
        return Err(AuthError::bad_request("validation_failed", message));
    }
    let now = supabase.shared.clock.now_ms();
    let grant = supabase.shared.store.run(move |db| {
        let Some(flow) = flows::take(db, &auth_code, now)? else { return Ok(Err(no_flow())) };
        if !flow.fits(&code_verifier) {
            let message = "code challenge does not match previously saved code verifier";
            return Ok(Err(AuthError::bad_request("bad_code_verifier", message)));
        }
        let Some(user) = users::by_id(db, &flow.user_id)? else { return Ok(Err(no_flow())) };
        Ok(Ok(sessions::start(db, user, "oauth", now)?))
    });
    let mut session = supabase.session(&grant.await??)?;
    session["provider_token"] = json!("behest-local");
    Ok(Json(session))
}

fn no_flow() -> AuthError {
    let message = "invalid flow state, no valid flow state found";
    AuthError::new(StatusCode::NOT_FOUND, "flow_state_not_found", message)
}

impl Flow {
    fn fits(&self, verifier: &str) -> bool {
        let shown = match self.method.eq_ignore_ascii_case("s256") {
            true => URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())),
            false => verifier.to_owned(),
        };
        verify_slices_are_equal(shown.as_bytes(), self.challenge.as_bytes()).is_ok()
    }
}
