//! `rest/v1/profiles` as PostgREST answers with row-level rules: everybody reads their own row, nobody writes.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::state::Supabase;
use crate::domain::jwt::Invalid;
use crate::servers::bearer;
use crate::store::users;

const TABLE: &str = "profiles";
const COLUMNS: [&str; 2] = ["id", "plan"];
const OBJECT: &str = "application/vnd.pgrst.object+json";

/// A PostgREST error: `{code, details, hint, message}`.
#[derive(Debug)]
pub(crate) struct RestError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<String>,
    /// The error of the `WWW-Authenticate` header.
    challenge: bool,
}

impl RestError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: None, challenge: false }
    }

    fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn token(invalid: Invalid) -> Self {
        let code = if invalid == Invalid::Expired { "PGRST303" } else { "PGRST301" };
        let message = if invalid == Invalid::Expired { "JWT expired" } else { invalid.message() };
        Self { challenge: true, ..Self::new(StatusCode::UNAUTHORIZED, code, message) }
    }

    fn no_such_table(table: &str) -> Self {
        let message = format!("Could not find the table 'public.{table}' in the schema cache");
        Self::new(StatusCode::NOT_FOUND, "PGRST205", message)
    }

    pub(crate) fn fault(status: StatusCode, message: String) -> Response {
        Self::new(status, "PGRST000", message).into_response()
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "PGRST125", "Invalid path specified in request URL")
    }
}

impl From<anyhow::Error> for RestError {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "a rest/v1 request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "XX000", "internal error, see the log")
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = json!({ "code": self.code, "details": self.details, "hint": null, "message": self.message });
        let mut response = (self.status, Json(body)).into_response();
        if self.challenge {
            let value = format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.message);
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
            }
        }
        response
    }
}

impl Supabase {
    /// The caller's user id; `None` for the anonymous role, which an API key as bearer also means.
    fn rest_caller(&self, headers: &HeaderMap) -> Result<Option<String>, RestError> {
        match bearer::token(headers) {
            None => Ok(None),
            Some(key) if self.is_api_key(key) => Ok(None),
            Some(token) => Ok(Some(self.verify(token).map_err(RestError::token)?.sub)),
        }
    }
}

/// `GET /{table}?select=…&column=eq.value`
pub(crate) async fn read(
    State(supabase): State<Supabase>,
    Path(table): Path<String>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    if table != TABLE {
        return Err(RestError::no_such_table(&table));
    }
    supabase.shared.counters.add("rest.profiles");
    let caller = supabase.rest_caller(&headers)?;
    let Query(parameters) = query.map_err(|why| RestError::bad_request("PGRST100", why.body_text()))?;
    let row_query = RowQuery::parse(&parameters)?;
    let row = match caller {
        // The rule of the table: a row is visible to its own user only.
        Some(id) => {
            let found = supabase.shared.store.run({
                let id = id.clone();
                move |db| users::plan(db, &id)
            });
            found.await?.map(|plan| json!({ "id": id, "plan": plan }))
        }
        None => None,
    };
    let rows: Vec<Value> = row.into_iter().filter_map(|row| row_query.answer(&row)).collect();
    let wants_object =
        headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|accept| accept.contains(OBJECT)));
    if wants_object {
        let [row] = rows.as_slice() else {
            let message = "Cannot coerce the result to a single JSON object";
            let details = Some(format!("The result contains {} rows", rows.len()));
            return Err(RestError { details, ..RestError::new(StatusCode::NOT_ACCEPTABLE, "PGRST116", message) });
        };
        return Ok(answer("application/vnd.pgrst.object+json; charset=utf-8", "0-0/*", row));
    }
    let range = if rows.is_empty() { "*/*" } else { "0-0/*" };
    Ok(answer("application/json; charset=utf-8", range, &Value::Array(rows)))
}

fn answer(media_type: &'static str, range: &'static str, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CONTENT_RANGE, range)];
    (headers, body.to_string()).into_response()
}

/// Every other method: the table is granted for reading only.
pub(crate) async fn write(
    State(supabase): State<Supabase>,
    Path(table): Path<String>,
    headers: HeaderMap,
) -> RestError {
    if table != TABLE {
        return RestError::no_such_table(&table);
    }
    let status = match supabase.rest_caller(&headers) {
        Ok(Some(_)) => StatusCode::FORBIDDEN,
        Ok(None) => StatusCode::UNAUTHORIZED,
        Err(error) => return error,
    };
    RestError::new(status, "42501", format!("permission denied for table {TABLE}"))
}

/// What a query asks for: columns, `eq` filters, and whether a first row is wanted at all.
struct RowQuery {
    columns: Vec<&'static str>,
    filters: Vec<(&'static str, String)>,
    nothing: bool,
}

impl RowQuery {
    fn parse(parameters: &[(String, String)]) -> Result<Self, RestError> {
        let mut row_query = Self { columns: COLUMNS.to_vec(), filters: Vec::new(), nothing: false };
        for (name, value) in parameters {
            match name.as_str() {
                // The API key may also come as a parameter.
                "apikey" | "order" => {}
                "select" => row_query.columns = columns(value)?,
                "limit" | "offset" => {
                    let number: u64 = value.parse().map_err(|_| {
                        RestError::bad_request("PGRST100", format!("\"failed to parse {name} ({value})\""))
                    })?;
                    // There is one row at most.
                    row_query.nothing |= (name == "limit") == (number == 0);
                }
                name => {
                    let name = column(name)?;
                    let wanted = value.strip_prefix("eq.").ok_or_else(|| {
                        let message = format!("\"failed to parse filter ({value})\": only eq is supported here");
                        RestError::bad_request("PGRST100", message)
                    })?;
                    row_query.filters.push((name, wanted.to_owned()));
                }
            }
        }
        Ok(row_query)
    }

    fn answer(&self, row: &Value) -> Option<Value> {
        let fits = |(column, wanted): &(&str, String)| row.get(*column).and_then(Value::as_str) == Some(wanted);
        if self.nothing || !self.filters.iter().all(fits) {
            return None;
        }
        let cell = |column: &&str| (String::from(*column), row.get(*column).cloned().unwrap_or_default());
        Some(Value::Object(self.columns.iter().map(cell).collect::<Map<_, _>>()))
    }
}

fn columns(select: &str) -> Result<Vec<&'static str>, RestError> {
    if select.trim().is_empty() || select.trim() == "*" {
        return Ok(COLUMNS.to_vec());
    }
    select.split(',').map(|name| column(name.trim())).collect()
}

fn column(name: &str) -> Result<&'static str, RestError> {
    COLUMNS
        .into_iter()
        .find(|column| *column == name)
        .ok_or_else(|| RestError::bad_request("42703", format!("column {TABLE}.{name} does not exist")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(parameters: &[(&str, &str)]) -> Result<Option<Value>, &'static str> {
        let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let row = json!({ "id": "u1", "plan": "pro" });
        RowQuery::parse(&owned).map(|row_query| row_query.answer(&row)).map_err(|error| error.code)
    }

    #[test]
    fn a_query_selects_filters_and_limits() {
        let whole = json!({ "id": "u1", "plan": "pro" });
        assert_eq!(ask(&[]), Ok(Some(whole.clone())));
        assert_eq!(ask(&[("select", "*")]), Ok(Some(whole)));
        assert_eq!(ask(&[("select", "plan"), ("id", "eq.u1")]), Ok(Some(json!({ "plan": "pro" }))));
        assert_eq!(ask(&[("id", "eq.u2")]), Ok(None));
        assert_eq!(ask(&[("limit", "0")]), Ok(None));
        assert_eq!(ask(&[("limit", "1"), ("offset", "0"), ("select", "id")]), Ok(Some(json!({ "id": "u1" }))));
        assert_eq!(ask(&[("offset", "1")]), Ok(None));
        assert_eq!(ask(&[("select", "secret")]), Err("42703"));
        assert_eq!(ask(&[("id", "neq.u1")]), Err("PGRST100"));
        assert_eq!(ask(&[("limit", "x")]), Err("PGRST100"));
    }
}
