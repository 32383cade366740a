//! `POST /api/v1/sql` and `GET /api/v1/tables`.

use super::client::{Client, Counted};
use super::{ApiError, Endpoints};
use crate::format::{Format, FormatError, TextCells, columns};
use crate::table::merged_table;
use arrow::datatypes::SchemaRef;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
    format: Option<String>,
    #[serde(default)]
    spreadsheet: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct SqlParameters {
    format: Option<String>,
    /// CSV for a spreadsheet: nothing in it is a formula.
    #[serde(default)]
    spreadsheet: bool,
}

pub(super) async fn query(
    State(endpoints): State<Endpoints>,
    Query(parameters): Query<SqlParameters>,
    client: Client,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let SqlRequest { sql, format, spreadsheet } = read_request(&headers, &body)?;
    let format = choose_format(parameters.format.or(format), &headers)?;
    let cells = match parameters.spreadsheet || spreadsheet {
        true => TextCells::Neutralised,
        false => TextCells::AsTheyAre,
    };
    let _permit = client.turn(&endpoints, Instant::now() + endpoints.engine.limits().timeout).await?;
    let counted = Counted::begin(&endpoints.metrics);
    let answer = endpoints.engine.query(&sql).await;
    counted.end(answer.as_ref().map_or_else(|e| e.code(), |_| "ok"));
    let bytes = format.write_with(&answer?, cells)?;
    Ok(([(header::CONTENT_TYPE, format.media_type())], bytes).into_response())
}

impl From<FormatError> for ApiError {
    fn from(error: FormatError) -> Self {
        match error.hint() {
            Some(hint) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "format_limit", error.to_string()).hint(hint),
            None => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "execution", error.to_string()),
        }
    }
}

fn read_request(headers: &HeaderMap, body: &Bytes) -> Result<SqlRequest, ApiError> {
    let bad = |message: String| ApiError::new(StatusCode::BAD_REQUEST, "bad_request", message);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or("");
    // A client that says nothing, or sends curl's default, means the text itself unless it looks like JSON.
    let is_json = content_type.starts_with("application/json")
        || (!content_type.starts_with("text/") && body.first() == Some(&b'{'));
    if is_json {
        let hint = r#"send {"sql": "SELECT …", "format": "json"}"#;
        let request: SqlRequest =
            serde_json::from_slice(body).map_err(|e| bad(format!("the body is not a query: {e}")).hint(hint))?;
        return Ok(request);
    }
    let text = std::str::from_utf8(body).map_err(|e| bad(format!("the query is not UTF-8: {e}")))?;
    if text.trim().is_empty() {
        return Err(bad("the query is empty".to_owned()).hint("send the text of a SELECT as the body"));
    }
    Ok(SqlRequest { sql: text.to_owned(), format: None, spreadsheet: false })
}

fn choose_format(named: Option<String>, headers: &HeaderMap) -> Result<Format, ApiError> {
    if let Some(name) = named {
        return name.parse().map_err(|e: crate::format::UnknownFormat| {
            ApiError::new(StatusCode::BAD_REQUEST, "bad_request", e.to_string())
        });
    }
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or("");
    let known = [
        ("text/csv", Format::Csv),
        ("application/vnd.apache.arrow.stream", Format::Arrow),
        ("application/vnd.apache.parquet", Format::Parquet),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Format::Xlsx),
        ("application/x-ndjson", Format::Ndjson),
        ("text/plain", Format::Table),
    ];
    Ok(known.iter().find(|(media, _)| accept.contains(media)).map_or(Format::Json, |k| k.1))
}

pub(super) async fn tables(State(endpoints): State<Endpoints>) -> Result<Response, ApiError> {
    let unavailable = |e: crate::snapshot::SnapshotError| ApiError::from(crate::sql::SqlError::from(e));
    let snapshots = endpoints.engine.snapshots();
    let names = snapshots.table_names().await.map_err(unavailable)?;
    let snapshot = snapshots.take(&names).await.map_err(unavailable)?;
    let definitions = snapshots.definitions();
    let tables = snapshot.tables.iter().map(|(name, table)| {
        let kind = if table.rollup.is_some() { "rollup" } else { "table" };
        let window_seconds = table.rollup.as_ref().and_then(|r| r.pane_us).map(|p| p as f64 / 1e6);
        let sources = table.rollup.as_ref().map(|r| r.sources.as_slice());
        // What queries see of it, which is not quite what is stored.
        let schema = merged_table(name, table).map_or_else(|_| Arc::clone(&table.schema), |t| t.schema());
        json!({ "name": name, "kind": kind, "columns": described(&schema), "version": table.version, "sources": sources, "window_seconds": window_seconds })
    });
    let views = definitions.views().map(|view| {
        json!({ "name": view.name, "kind": "view", "columns": view.schema.as_ref().map(described), "reads": view.reads, "query": view.query() })
    });
    let mut all: Vec<_> = tables.chain(views).collect();
    all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(Json(json!({ "tables": all })).into_response())
}

fn described(schema: &SchemaRef) -> Vec<Value> {
    columns(schema).into_iter().map(|(name, sql)| json!({ "name": name, "type": sql })).collect()
}
