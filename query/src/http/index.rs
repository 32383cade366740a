//! The first page: what is here, and a query to paste.

use super::Endpoints;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Html;
use std::fmt::Write as _;

pub(super) async fn index(State(endpoints): State<Endpoints>, headers: HeaderMap) -> Html<String> {
    let host = headers
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .filter(|h| h.bytes().all(is_of_host))
        .unwrap_or("HOST:PORT");
    let tables = match endpoints.engine.names().await {
        Ok(names) if names.is_empty() => "none yet".to_owned(),
        Ok(names) => names.iter().fold(String::new(), |mut text, name| {
            let _ = write!(text, "<code>{name}</code> ");
            text
        }),
        Err(_) => "not to be had right now".to_owned(),
    };
    Html(format!(
        r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Tidewatch</title>
<style>body{{font:16px/1.5 system-ui;max-width:46rem;margin:3rem auto;padding:0 1rem}}code,pre{{background:#8882;padding:.1em .3em}}</style>
<h1>Tidewatch</h1>
<ul>
<li><a href="/metrics">/metrics</a>: own metrics and the newest closed window of every rollup</li>
<li><a href="/api/v1/tables">/api/v1/tables</a>: tables and their columns</li>
<li><code>POST /api/v1/sql</code>: SQL over the rollups, as JSON, CSV, Parquet or an Arrow stream</li>
<li><code>POST /api/v1/events</code>: CloudEvents, one, a batch or NDJSON; answered when they are durable</li>
<li><a href="/-/ready">/-/ready</a>, <a href="/-/startup">/-/startup</a>, <a href="/-/healthy">/-/healthy</a></li>
</ul>
<p>Tables and views: {tables}</p>
<pre>curl -s {host}/api/v1/sql -H 'content-type: text/plain' -H 'accept: text/csv' \
  -d 'SELECT table_name, column_name, data_type FROM information_schema.columns'</pre></html>
"#
    ))
}

/// The name goes into a page: nothing but what hosts are made of.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte)
}
