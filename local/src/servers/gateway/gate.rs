//! What stands between a checked request and the model: the kill switch, the guardrail, rates, allowances.

use axum::http::{HeaderValue, StatusCode};
use serde_json::json;

use super::error::GatewayError;
use super::recorder::Recorder;
use super::request::ChatRequest;
use super::state::Gateway;
use crate::domain::limits::{Allowance, Amount, Tier, cost};
use crate::store::ledger::{self, Balance, Reservation};

/// The longest answer where a budget applies and the caller set no limit: without one, a chat has no largest size.
const DEFAULT_ANSWER: i64 = 4096;
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
    most: Option<i64>,
}

impl Permit {
    /// The reservation is now the meter's to settle. Gives the most tokens that the answers may have together, where a limit applies.
    pub(crate) fn use_up(mut self) -> Option<i64> {
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
        if self.shared.controls.killed() {
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

    /// Reserves what the chat may use at most, in the same transaction in which every limit is checked. What is spent and
    /// what is reserved never exceed a limit together: where one applies, the answer gets a length that fits into what is
    /// left, and a request with no room for a token of an answer is refused.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        request: &mut ChatRequest,
        request_id: &str,
        model: String,
    ) -> Result<Permit, GatewayError> {
        self.recorder.catch_up().await;
        let now = self.shared.clock.now_ms();
        let tier = self.shared.controls.read().tier_limits.then(|| Tier::of(caller.tier));
        if let Some(tier) = tier {
            let rate = self.rates.take(&caller.user_id, tier.requests_per_minute, now);
            rate.map_err(|wait| too_fast(tier, wait))?;
        }
        let (prompt, choices, asked) =
            (self.responder.prompt_at_most(request), request.written(), request.max_tokens());
        let mut chat = Reservation {
            request_id: request_id.to_owned(),
            user_id: caller.user_id.clone(),
            session_id: caller.session_id.clone(),
            model,
            size: Amount::default(),
        };
        let recorder = self.recorder.clone();
        let decision = self.shared.store.run(move |db| {
            let mut answer = asked.unwrap_or(DEFAULT_ANSWER);
            if let Some(tier) = tier {
                let today = ledger::today(db, &chat.user_id, now)?;
                let allowance = Allowance { tokens: Some(tier.tokens_per_day), cost_nanos: None };
                let used = Amount { tokens: today.tokens.saturating_add(today.reserved), cost_nanos: 0 };
                let room = allowance.room(used, prompt, choices);
                if room < 1 || today.requests >= tier.requests_per_day {
                    return Ok(Err(day_is_spent(tier, today)));
                }
                answer = answer.min(room);
            }
            let balances = ledger::balances(db, &chat)?;
            for balance in &balances {
                let room = balance.allowance.room(balance.spent.plus(balance.reserved), prompt, choices);
                if room < 1 {
                    let may_free = balance.allowance.room(balance.spent, prompt, choices) >= 1;
                    return Ok(Err(budget_is_spent(balance, may_free, prompt)));
                }
                answer = answer.min(room);
            }
            let bounded = (tier.is_some() || !balances.is_empty()).then_some(answer);
            let output = answer.saturating_mul(choices);
            chat.size = Amount { tokens: prompt.saturating_add(output), cost_nanos: cost(prompt, output) };
            ledger::reserve(db, &chat, now)?;
            let most = bounded.map(|_| output);
            Ok(Ok((Permit { request_id: Some(chat.request_id), recorder, most }, bounded)))
        });
        let (permit, bounded) = decision.await??;
        if let Some(answer) = bounded {
            request.limit_answer(answer);
        }
        Ok(permit)
    }
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

fn budget_is_spent(balance: &Balance, may_free: bool, prompt: i64) -> GatewayError {
    let Balance { scope, allowance, spent, .. } = balance;
    let whose = scope.name();
    let details = json!({
        "scope": whose,
        "limit": { "tokens": allowance.tokens, "cost_usd": allowance.cost_nanos.map(dollars) },
        "usage": { "tokens": spent.tokens, "cost_usd": dollars(spent.cost_nanos) },
    });
    if may_free {
        let message = format!("Running requests hold what is left of the {whose}'s budget of {allowance}");
        return GatewayError::new(StatusCode::TOO_MANY_REQUESTS, "budget_reserved", message)
            .with_retry_after(Some(HeaderValue::from_static("1")))
            .with_details(details);
    }
    let message = format!(
        "The {whose}'s budget of {allowance} is spent, or what is left is too little for this request, whose prompt may take \
         {prompt} tokens"
    );
    GatewayError::new(StatusCode::PAYMENT_REQUIRED, "budget_exceeded", message).with_details(details)
}

fn dollars(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
