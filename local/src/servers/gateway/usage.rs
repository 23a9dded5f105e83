//! `GET /v1/usage` and `GET /v1/billing/usage`: what the token's own user has used.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::GatewayError;
use super::state::Gateway;
use crate::domain::clock::rfc3339;
use crate::store::usage::{self, Window};

#[derive(Deserialize)]
pub(crate) struct UsageQuery {
    from: Option<String>,
    to: Option<String>,
    granularity: Option<String>,
    user_id: Option<String>,
}

type Parameters = Result<Query<UsageQuery>, QueryRejection>;

/// The shape the SDKs read.
pub(crate) async fn usage(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Value>, GatewayError> {
    gateway.shared.counters.add("usage");
    let (user, asked, window) = read(&gateway, &headers, parameters).await?;
    let width = match asked.granularity.as_deref() {
        Some("minute") => 60_000,
        Some("hour") => 3_600_000,
        None | Some("day") => 86_400_000,
        Some(_) => return Err(GatewayError::invalid("granularity must be minute, hour or day")),
    };
    let id = user.clone();
    let report = gateway.shared.store.run(move |db| {
        let slices = usage::by_time(db, &id, window, width)?;
        Ok((usage::totals(db, &id, window)?, slices, usage::by_session(db, &id, window)?))
    });
    let (totals, breakdown, sessions) = report.await?;
    Ok(Json(json!({
        "user_id": user,
        "window": window_json(window),
        "totals": {
            "requests": totals.requests,
            "tokens": totals.input_tokens + totals.output_tokens,
            "input_tokens": totals.input_tokens,
            "output_tokens": totals.output_tokens,
            "cost_usd": totals.cost_usd,
        },
        "breakdown": breakdown,
        "sessions": sessions,
    })))
}

/// The shape the guide documents.
pub(crate) async fn billing(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Value>, GatewayError> {
    gateway.shared.counters.add("usage");
    let (user, _, window) = read(&gateway, &headers, parameters).await?;
    let id = user.clone();
    let report = gateway.shared.store.run(move |db| {
        let models = usage::by_model(db, &id, window)?;
        Ok((usage::totals(db, &id, window)?, models, usage::by_session(db, &id, window)?))
    });
    let (totals, models, sessions) = report.await?;
    let mut platform = json!(totals);
    platform["by_model"] = json!(models);
    Ok(Json(json!({
        "project_id": gateway.shared.identity.project_id,
        "user_id": user,
        "window": window_json(window),
        "platform": platform,
        "sessions": sessions,
    })))
}

fn window_json(window: Window) -> Value {
    json!({ "from": rfc3339(window.from), "to": rfc3339(window.to) })
}

async fn read(
    gateway: &Gateway,
    headers: &HeaderMap,
    parameters: Parameters,
) -> Result<(String, UsageQuery, Window), GatewayError> {
    let user = gateway.caller(headers).await?.uid;
    let Query(asked) = parameters.map_err(|why| GatewayError::invalid(why.body_text()))?;
    if asked.user_id.as_ref().is_some_and(|asked| *asked != user) {
        let message = "A token shows its own user's usage only";
        return Err(GatewayError::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    let from = asked.from.as_deref().map(|from| time("from", from, false)).transpose()?;
    let to = asked.to.as_deref().map(|to| time("to", to, true)).transpose()?;
    // Rows are dated to the millisecond, and one of this very millisecond belongs to the report.
    let window = Window { from: from.unwrap_or_default(), to: to.unwrap_or_else(|| gateway.shared.clock.now_ms() + 1) };
    if window.from > window.to {
        return Err(GatewayError::invalid("from must not be later than to"));
    }
    Ok((user, asked, window))
}

/// A date or an RFC 3339 time. A date as the end of a window means the whole day, in UTC.
fn time(name: &str, text: &str, is_end: bool) -> Result<i64, GatewayError> {
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let date = text.parse::<Date>().ok()?;
        let date = if is_end { date.checked_add(1.day()).ok()? } else { date };
        date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    let invalid = || GatewayError::invalid(format!("{name} must be a date such as 2026-11-21 or an RFC 3339 time"));
    timestamp.map(Timestamp::as_millisecond).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_or_instants() {
        let read = |text, is_end| time("from", text, is_end).map_err(|_| ());
        assert_eq!(read("1970-01-02", false), Ok(86_400_000));
        assert_eq!(read("1970-01-02", true), Ok(2 * 86_400_000));
        assert_eq!(read("1970-01-01T00:00:01.5Z", true), Ok(1500));
        assert_eq!(read("1970-01-01T01:00:00+01:00", false), Ok(0));
        for bad in ["", "yesterday", "12", "2026-13-01"] {
            assert_eq!(read(bad, false), Err(()), "{bad}");
        }
    }
}
