//! `rest/v1/profiles` as PostgREST answers with row-level rules: everybody reads their own row, the secret key all of them,
//! nobody writes.

use std::cmp::Ordering;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
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

impl From<PathRejection> for RestError {
    fn from(_: PathRejection) -> Self {
        Self::no_such_path()
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

/// Whom the database takes the caller for.
enum Role {
    Anonymous,
    User(String),
    /// The secret key's, for which no row-level rule counts.
    Service,
}

impl Supabase {
    /// A bearer token says who it is; without one, or with a key in its place, the key does.
    fn rest_caller(&self, headers: &HeaderMap) -> Result<Role, RestError> {
        let key = headers.get("apikey").and_then(|key| key.to_str().ok());
        match bearer::token(headers).or(key) {
            Some(key) if self.is_secret_key(key) => Ok(Role::Service),
            Some(key) if !self.is_api_key(key) => Ok(Role::User(self.verify(key).map_err(RestError::token)?.sub)),
            _ => Ok(Role::Anonymous),
        }
    }
}

/// `GET /{table}?select=…&column=eq.value`
pub(crate) async fn read(
    State(supabase): State<Supabase>,
    table: Result<Path<String>, PathRejection>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let Path(table) = table?;
    if table != TABLE {
        return Err(RestError::no_such_table(&table));
    }
    supabase.shared.counters.add("rest.profiles");
    let caller = supabase.rest_caller(&headers)?;
    is_schema(&headers, "accept-profile")?;
    let wants_object = wants_object(&headers)?;
    let Query(parameters) = query.map_err(|why| RestError::bad_request("PGRST100", why.body_text()))?;
    let row_query = RowQuery::parse(&parameters)?;
    let visible = match caller {
        // The rule of the table: a row is visible to its own user only.
        Role::User(id) => supabase.shared.store.run(move |db| users::profiles(db, Some(&id))).await?,
        Role::Service => supabase.shared.store.run(|db| users::profiles(db, None)).await?,
        Role::Anonymous => Vec::new(),
    };
    let visible = visible.into_iter().map(|(id, plan)| json!({ "id": id, "plan": plan }));
    let mut found: Vec<Value> = visible.filter(|row| row_query.fits(row)).collect();
    row_query.sort(&mut found);
    let total = found.len();
    let rows: Vec<Value> =
        found.iter().skip(row_query.offset).take(row_query.limit).map(|row| row_query.shape(row)).collect();
    let range = match rows.len() {
        0 => "*".to_owned(),
        some => format!("{}-{}", row_query.offset, row_query.offset + some - 1),
    };
    let total = wants_count(&headers).then_some(total);
    if let Some(total) = total.filter(|total| row_query.offset > *total) {
        let offset = row_query.offset;
        let details = Some(format!("An offset of {offset} was requested, but there are only {total} rows."));
        let status = StatusCode::RANGE_NOT_SATISFIABLE;
        return Err(RestError { details, ..RestError::new(status, "PGRST103", "Requested range not satisfiable") });
    }
    let range = format!("{range}/{}", total.map_or_else(|| "*".to_owned(), |total| total.to_string()));
    let status =
        if total.is_some_and(|total| total > rows.len()) { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let (media_type, body) = if wants_object {
        let [row] = rows.as_slice() else {
            let message = "Cannot coerce the result to a single JSON object";
            let details = Some(format!("The result contains {} rows", rows.len()));
            return Err(RestError { details, ..RestError::new(StatusCode::NOT_ACCEPTABLE, "PGRST116", message) });
        };
        ("application/vnd.pgrst.object+json; charset=utf-8", row.to_string())
    } else {
        ("application/json; charset=utf-8", Value::Array(rows).to_string())
    };
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_RANGE, range)];
    Ok((status, headers, body).into_response())
}

/// `rest/v1/rpc/{function}`: there is none.
pub(crate) async fn call(function: Result<Path<String>, PathRejection>) -> RestError {
    let Ok(Path(function)) = function else { return RestError::no_such_path() };
    let message = format!("Could not find the function public.{function} in the schema cache");
    RestError::new(StatusCode::NOT_FOUND, "PGRST202", message)
}

/// Every other method: the table is granted for reading only.
pub(crate) async fn write(
    State(supabase): State<Supabase>,
    table: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> RestError {
    let Ok(Path(table)) = table else { return RestError::no_such_path() };
    if table != TABLE {
        return RestError::no_such_table(&table);
    }
    let status = match supabase.rest_caller(&headers) {
        Ok(Role::User(_) | Role::Service) => StatusCode::FORBIDDEN,
        Ok(Role::Anonymous) => StatusCode::UNAUTHORIZED,
        Err(error) => return error,
    };
    RestError::new(status, "42501", format!("permission denied for table {TABLE}"))
}

/// What a query asks for: columns under their names in the answer, filters, the order, and which of the rows.
struct RowQuery {
    columns: Vec<(String, &'static str)>,
    filters: Vec<Filter>,
    order: Vec<Order>,
    offset: usize,
    limit: usize,
}

/// By which column rows are sorted, and how.
struct Order {
    column: &'static str,
    descending: bool,
    nulls_first: bool,
}

/// Does a column have one of these values?
struct Filter {
    column: &'static str,
    values: Vec<Value>,
    negated: bool,
}

impl RowQuery {
    fn parse(parameters: &[(String, String)]) -> Result<Self, RestError> {
        let columns = COLUMNS.map(|column| (column.to_owned(), column)).to_vec();
        let mut row_query = Self { columns, filters: Vec::new(), order: Vec::new(), offset: 0, limit: usize::MAX };
        for (name, value) in parameters {
            let number = || {
                let wrong = || RestError::bad_request("PGRST100", format!("\"failed to parse {name} ({value})\""));
                value.parse().map_err(|_| wrong())
            };
            match name.as_str() {
                // The API key may also come as a parameter.
                "apikey" => {}
                "select" => row_query.columns = select(value)?,
                "order" => row_query.order = value.split(',').map(Order::parse).collect::<Result<_, _>>()?,
                "limit" => row_query.limit = number()?,
                "offset" => row_query.offset = number()?,
                "and" | "or" | "not.and" | "not.or" => {
                    let message = format!("\"failed to parse logic tree ({value})\": {name} is not supported here");
                    return Err(RestError::bad_request("PGRST100", message));
                }
                name => row_query.filters.push(Filter::parse(column(name)?, value)?),
            }
        }
        Ok(row_query)
    }

    /// Rows that are alike keep their order.
    fn sort(&self, rows: &mut [Value]) {
        rows.sort_by(|a, b| {
            let by = |order: &Order| order.compare(&a[order.column], &b[order.column]);
            self.order.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
        });
    }

    fn fits(&self, row: &Value) -> bool {
        self.filters.iter().all(|filter| filter.fits(row))
    }

    fn shape(&self, row: &Value) -> Value {
        let cell = |(name, column): &(String, &str)| (name.clone(), row.get(*column).cloned().unwrap_or_default());
        Value::Object(self.columns.iter().map(cell).collect::<Map<_, _>>())
    }
}

impl Order {
    /// `plan`, `plan.desc`, `plan.asc.nullsfirst`
    fn parse(text: &str) -> Result<Self, RestError> {
        let mut words = text.split('.');
        let column = column(words.next().unwrap_or_default())?;
        let (mut descending, mut nulls_first) = (false, None);
        for word in words {
            match word {
                "asc" => descending = false,
                "desc" => descending = true,
                "nullsfirst" => nulls_first = Some(true),
                "nullslast" => nulls_first = Some(false),
                _ => return Err(RestError::bad_request("PGRST100", format!("\"failed to parse order ({text})\""))),
            }
        }
        // As in SQL, null counts as larger than everything.
        Ok(Self { column, descending, nulls_first: nulls_first.unwrap_or(descending) })
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) if self.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (a, b) if self.nulls_first => a.is_some().cmp(&b.is_some()),
            (a, b) => a.is_none().cmp(&b.is_none()),
        }
    }
}

impl Filter {
    fn parse(column: &'static str, text: &str) -> Result<Self, RestError> {
        let (rest, negated) = text.strip_prefix("not.").map_or((text, false), |rest| (rest, true));
        let values = match rest.split_once('.') {
            Some(("eq", value)) => Some((vec![json!(value)], negated)),
            Some(("neq", value)) => Some((vec![json!(value)], !negated)),
            Some(("in", list)) => list.strip_prefix('(').and_then(|list| list.strip_suffix(')')).map(|list| {
                let value = |value: &str| json!(value.trim().trim_matches('"'));
                (list.split(',').map(value).collect(), negated)
            }),
            Some(("is", "null")) => Some((vec![Value::Null], negated)),
            _ => None,
        };
        let (values, negated) = values.ok_or_else(|| {
            let message = format!("\"failed to parse filter ({text})\": eq, neq, in and is.null are supported here");
            RestError::bad_request("PGRST100", message)
        })?;
        Ok(Self { column, values, negated })
    }

    /// As in SQL, null is neither equal to a value nor unequal.
    fn fits(&self, row: &Value) -> bool {
        let cell = row.get(self.column).unwrap_or(&Value::Null);
        let asks_for_null = self.values.contains(&Value::Null);
        (asks_for_null || !cell.is_null()) && self.values.contains(cell) != self.negated
    }
}

/// Columns, some under another name: `id,plan_name:plan`.
fn select(text: &str) -> Result<Vec<(String, &'static str)>, RestError> {
    let mut columns = Vec::new();
    for item in text.split(',').map(str::trim) {
        match item.split_once(':') {
            _ if item.is_empty() || item == "*" => columns.extend(COLUMNS.map(|column| (column.to_owned(), column))),
            Some((name, of)) => columns.push((name.to_owned(), column(of)?)),
            None => columns.push((item.to_owned(), column(item)?)),
        }
    }
    Ok(columns)
}

fn column(name: &str) -> Result<&'static str, RestError> {
    COLUMNS
        .into_iter()
        .find(|column| *column == name)
        .ok_or_else(|| RestError::bad_request("42703", format!("column {TABLE}.{name} does not exist")))
}

/// One object in place of a list? Tables in other formats (CSV, plans) are missing here, and no format is taken for another.
fn wants_object(headers: &HeaderMap) -> Result<bool, RestError> {
    let all: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let media_types =
        || all.iter().flat_map(|list| list.split(',')).map(|item| item.split(';').next().unwrap_or(item).trim());
    if media_types().any(|media_type| media_type == OBJECT) {
        return Ok(true);
    }
    let is_json = |media_type: &str| {
        matches!(media_type, "" | "*/*" | "application/*" | "application/json" | "application/vnd.pgrst.array+json")
    };
    if all.is_empty() || media_types().any(is_json) {
        return Ok(false);
    }
    let message = format!("None of these media types are available: {}", all.join(", "));
    Err(RestError::new(StatusCode::NOT_ACCEPTABLE, "PGRST107", message))
}

/// There is one schema, whose name nobody has to say.
fn is_schema(headers: &HeaderMap, name: &str) -> Result<(), RestError> {
    let Some(schema) = headers.get(name).filter(|schema| *schema != "public") else { return Ok(()) };
    let message = format!("Invalid schema: {}", String::from_utf8_lossy(schema.as_bytes()));
    let details = Some("Only the following schemas are exposed: public".to_owned());
    Err(RestError { details, ..RestError::new(StatusCode::NOT_ACCEPTABLE, "PGRST106", message) })
}

/// Does the caller want to know how many rows there are? Exact, planned or estimated is all the same here.
fn wants_count(headers: &HeaderMap) -> bool {
    let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|list| list.split(',')).any(|wish| wish.trim().starts_with("count="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(parameters: &[(&str, &str)]) -> Result<Option<Value>, &'static str> {
        let owned: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let row = json!({ "id": "u1", "plan": "pro" });
        let answer = |query: RowQuery| query.fits(&row).then(|| query.shape(&row));
        RowQuery::parse(&owned).map(answer).map_err(|error| error.code)
    }

    #[test]
    fn a_query_selects_filters_and_limits() {
        let whole = json!({ "id": "u1", "plan": "pro" });
        assert_eq!(ask(&[]), Ok(Some(whole.clone())));
        assert_eq!(ask(&[("select", "*")]), Ok(Some(whole)));
        assert_eq!(ask(&[("select", "plan"), ("id", "eq.u1")]), Ok(Some(json!({ "plan": "pro" }))));
        assert_eq!(ask(&[("id", "eq.u2")]), Ok(None));
        assert_eq!(ask(&[("limit", "1"), ("offset", "0"), ("select", "id")]), Ok(Some(json!({ "id": "u1" }))));
        assert_eq!(ask(&[("select", "secret")]), Err("42703"));
        let there = |filter: &str| ask(&[("plan", filter)]).map(|row| row.is_some());
        for (filter, expected) in [
            ("neq.free", true),
            ("neq.pro", false),
            ("in.(free,\"pro\")", true),
            ("in.(free)", false),
            ("not.in.(free)", true),
            ("is.null", false),
            ("not.is.null", true),
            ("not.eq.pro", false),
        ] {
            assert_eq!(there(filter), Ok(expected), "{filter}");
        }
        assert_eq!(ask(&[("select", "level:plan")]), Ok(Some(json!({ "level": "pro" }))));
        assert_eq!(ask(&[("id", "like.u1")]), Err("PGRST100"));
        assert_eq!(ask(&[("id", "in.u1")]), Err("PGRST100"));
        assert_eq!(ask(&[("or", "(plan.eq.free,plan.is.null)")]), Err("PGRST100"));
        assert_eq!(ask(&[("limit", "x")]), Err("PGRST100"));
        assert_eq!(ask(&[("order", "plan.up")]), Err("PGRST100"));
        assert_eq!(ask(&[("order", "level")]), Err("42703"));
    }
    #[test]
    fn rows_are_sorted_as_in_sql() {
        let sorted = |order: &str| {
            let query = RowQuery::parse(&[("order".to_owned(), order.to_owned())]).map_err(|error| error.code).unwrap();
            let mut rows = [
                json!({ "id": "1", "plan": "pro" }),
                json!({ "id": "2", "plan": null }),
                json!({ "id": "3", "plan": "free" }),
            ];
            query.sort(&mut rows);
            rows.map(|row| row["id"].as_str().unwrap().to_owned()).concat()
        };
        for (order, ids) in [
            ("plan", "312"),
            ("plan.asc.nullsfirst", "231"),
            ("plan.desc", "213"),
            ("plan.desc.nullslast,id", "132"),
            ("id.desc", "321"),
        ] {
            assert_eq!(sorted(order), ids, "{order}");
        }
    }
}
