//! What stands between a checked request and the model: the kill switch, the guardrail, rates, allowances.

use axum::http::{HeaderValue, StatusCode};
use serde_json::json;

use super::error::GatewayError;
use super::recorder::Recorder;
use super::request::ChatRequest;
use super::state::Gateway;
use crate::domain::limits::{Amount, Tier, cost};
use crate::store::ledger::{self, Exhausted, Reservation};

/// The longest answer where a budget applies and the caller set no limit: without one, a chat has no largest size.
const DEFAULT_ANSWER: i64 = 4096;
/// Chat templates add tokens around every message.
const TOKENS_AROUND_MESSAGE: usize = 8;
/// Errs on the large side for every script; four is usual for European text.
const BYTES_PER_TOKEN: usize = 2;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) tier: Option<u64>,
}

/// The right to run one chat. Dropped unused, it gives back what was reserved.
#[derive(Debug)]
pub(crate) struct Permit {
    request_id: Option<String>,
    recorder: Recorder,
    most: Option<usize>,
}

impl Permit {
    /// The reservation is now the meter's to settle. Gives the most pieces the answer may have, where a limit applies.
    pub(crate) fn use_up(mut self) -> Option<usize> {
        self.request_id = None;
        self.most
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(request_id) = self.request_id.take() {
            self.recorder.release(request_id);
        }
    }
}

impl Gateway {
    /// Refuses everybody while the project is switched off.
    pub(crate) fn check_alive(&self) -> Result<(), GatewayError> {
        if self.shared.controls.read().killed {
            let message = "This project is switched off: its kill switch is on";
            return Err(GatewayError::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
        Ok(())
    }

    /// Refuses a prompt that matches one of the project's patterns.
    pub(crate) fn guard(&self, request: &ChatRequest) -> Result<(), GatewayError> {
        let controls = self.shared.controls.read();
        if controls.blocked.is_empty() {
            return Ok(());
        }
        let blocked = |text: &str| controls.blocked.iter().any(|pattern| pattern.is_match(text));
        if request.texts().any(|(_, text)| blocked(&text)) {
            let message = "The message matches a pattern that this project blocks";
            let status = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;
            return Err(GatewayError::new(status, "content_blocked", message));
        }
        Ok(())
    }

    /// Reserves what the chat may use at most, in the same transaction in which every limit is checked.
    /// Where a limit applies, the request's answer gets a length that fits the reservation.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        request: &mut ChatRequest,
        request_id: &str,
        model: String,
    ) -> Result<Permit, GatewayError> {
        let now = self.shared.clock.now_ms();
        let tier = self.shared.controls.read().tier_limits.then(|| Tier::of(caller.tier));
        if let Some(tier) = tier {
            let rate = self.rates.take(&caller.user_id, tier.requests_per_minute, now);
            rate.map_err(|wait| too_fast(tier, wait))?;
        }
        let prompt = prompt_tokens(request);
        let limit = request.max_tokens().map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let choices = request.choices();
        let most = move |answer: i64| {
            let answer = answer.saturating_mul(choices);
            Amount { tokens: prompt.saturating_add(answer), cost_nanos: cost(prompt, answer) }
        };
        let mut ask = Reservation {
            request_id: request_id.to_owned(),
            user_id: caller.user_id.clone(),
            session_id: caller.session_id.clone(),
            model,
            size: most(limit.unwrap_or_default()),
        };
        let recorder = self.recorder.clone();
        let decision = self.shared.store.run(move |db| {
            if let Some(tier) = tier {
                let today = ledger::today(db, &ask.user_id, now)?;
                let spent = today.tokens.saturating_add(today.reserved) >= tier.tokens_per_day;
                if spent || today.requests >= tier.requests_per_day {
                    return Ok(Err(day_is_spent(tier, today)));
                }
            }
            if let Some(exhausted) = ledger::exhausted(db, &ask)? {
                return Ok(Err(budget_is_spent(&exhausted)));
            }
            let bounded = tier.is_some() || ledger::is_bounded(db, &ask)?;
            let cap = (bounded && limit.is_none()).then_some(DEFAULT_ANSWER);
            if let Some(cap) = cap {
                ask.size = most(cap);
            }
            ledger::reserve(db, &ask, now)?;
            let answer = limit.or(cap).filter(|_| bounded);
            let most = answer.map(|answer| usize::try_from(answer.saturating_mul(choices)).unwrap_or(usize::MAX));
            Ok(Ok((Permit { request_id: Some(ask.request_id), recorder, most }, cap)))
        });
        let (permit, cap) = decision.await??;
        if let Some(cap) = cap {
            request.limit_answer(cap);
        }
        Ok(permit)
    }
}

/// A bound on the prompt's tokens, as far as it is text.
fn prompt_tokens(request: &ChatRequest) -> i64 {
    let tokens: usize =
        request.texts().map(|(_, text)| text.len().div_ceil(BYTES_PER_TOKEN) + TOKENS_AROUND_MESSAGE).sum();
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

fn too_fast(tier: Tier, wait_ms: i64) -> GatewayError {
    let message = format!("The {} tier allows {} requests per minute", tier.name, tier.requests_per_minute);
    let seconds = wait_ms.max(1).unsigned_abs().div_ceil(1000);
    GatewayError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
        .with_retry_after(Some(HeaderValue::from(seconds)))
}

fn day_is_spent(tier: Tier, today: ledger::Today) -> GatewayError {
    let message = format!("The daily allowance of the {} tier is used up", tier.name);
    GatewayError::new(StatusCode::PAYMENT_REQUIRED, "quota_exceeded", message).with_details(json!({
        "tier": tier.name,
        "limit": { "tokens_per_day": tier.tokens_per_day, "requests_per_day": tier.requests_per_day },
        "usage": { "tokens_today": today.tokens, "requests_today": today.requests },
    }))
}

fn budget_is_spent(exhausted: &Exhausted) -> GatewayError {
    let Exhausted { scope, allowance, spent, may_free } = exhausted;
    let whose = scope.name();
    let details = json!({
        "scope": whose,
        "limit": { "tokens": allowance.tokens, "cost_usd": allowance.cost_nanos.map(dollars) },
        "usage": { "tokens": spent.tokens, "cost_usd": dollars(spent.cost_nanos) },
    });
    if *may_free {
        let message = format!("Running requests hold what is left of the {whose}'s budget of {allowance}");
        return GatewayError::new(StatusCode::TOO_MANY_REQUESTS, "budget_reserved", message)
            .with_retry_after(Some(HeaderValue::from_static("1")))
            .with_details(details);
    }
    let message = format!("The {whose}'s budget of {allowance} is spent");
    GatewayError::new(StatusCode::PAYMENT_REQUIRED, "budget_exceeded", message).with_details(details)
}

fn dollars(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
