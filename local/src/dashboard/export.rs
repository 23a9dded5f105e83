//! Usage as comma-separated values.

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::state::{Dashboard, Failure};
use super::view::View;
use crate::domain::clock::rfc3339;
use crate::store::usage;

/// `GET /dashboard/usage.csv`: a line for each chat, the oldest first.
pub(super) async fn usage(State(dashboard): State<Dashboard>, Query(view): Query<View>) -> Result<Response, Failure> {
    let (_, length) = view.window();
    let now = dashboard.shared.clock.now_ms();
    let rows = dashboard.shared.store.read(move |db| usage::within(db, View::covers(db, length, now)?));
    let mut csv =
        String::from("time,request_id,user_id,session_id,model,input_tokens,output_tokens,cost_usd,source,outcome\r\n");
    for row in rows.await? {
        let time = rfc3339(row.created_at);
        let (input, output) = (row.input_tokens.to_string(), row.output_tokens.to_string());
        let cost = format!("{:.9}", row.cost_nanos as f64 / 1e9);
        let cells = [
            time.as_str(),
            &row.request_id,
            &row.user_id,
            &row.session_id,
            &row.model,
            &input,
            &output,
            &cost,
            &row.source,
            &row.outcome,
        ];
        csv.push_str(&cells.map(cell).join(","));
        csv.push_str("\r\n");
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"behest-local-usage.csv\""),
    ];
    Ok((headers, csv).into_response())
}

/// Quoted where it must be. Users choose session ids, so a text that a spreadsheet would run as a formula is defused.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells_are_quoted_and_never_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=1+1", "'=1+1"),
            ("@sum,x", "\"'@sum,x\""),
        ] {
            assert_eq!(super::cell(text), expected);
        }
    }
}
