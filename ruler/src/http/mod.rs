//! The endpoints of rules and alerts.
//!
//! | path | answers |
//! |---|---|
//! | `/api/v2/…` | Alertmanager's API, so that `amtool` and Grafana work: `v2.rs` |
//! | `GET /api/v1/rules`, `GET /api/v1/alerts` | Prometheus' API |
//! | `GET /api/v1/alerts/{fingerprint}/explain` | every decision about an alert; `?format=text` for people |
//! | `POST /api/v1/alerts/{fingerprint}/acknowledge` | `{"by": …, "note": …}`: nobody else is told; `DELETE` takes it back |
//! | `GET /runbooks`, `GET /runbooks/{alertname}` | pages for people: what a rule says of itself and what of it fires |
//! | `POST /api/v1/alerts/{fingerprint}/close` | `{"by": …, "note": …}`: ends an incident that a person must close |

mod people;
mod runbook;
mod v2;

use crate::begin::Shared;
use crate::book::{Shown, alerts};
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use tidewatch_promql::parse::ast::ExprKind;
use tidewatch_promql::{Grammar, Options, Query};

/// All routes.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/rules", get(rules))
        .route("/api/v1/alerts", get(active))
        .route("/api/v1/alerts/{fingerprint}/explain", get(people::explain))
        .route("/api/v1/alerts/{fingerprint}/acknowledge", post(people::acknowledge).delete(people::unacknowledge))
        .route("/api/v1/alerts/{fingerprint}/close", post(people::close))
        .route("/runbooks", get(runbook::list))
        .route("/runbooks/{name}", get(runbook::runbook))
        .merge(v2::routes())
        .with_state(shared)
}

/// What is answered where no rules are evaluated: that there are none.
pub fn routes_without_rules() -> Router {
    Router::new()
        .route("/api/v1/rules", get(|| async { success(json!({ "groups": [] })) }))
        .route("/api/v1/alerts", get(|| async { success(json!({ "alerts": [] })) }))
}

fn success(data: Value) -> Response {
    Json(json!({ "status": "success", "data": data })).into_response()
}

fn refused(status: StatusCode, kind: &str, message: impl Into<String>) -> Response {
    let body = json!({ "status": "error", "errorType": kind, "error": message.into() });
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Name and value of every parameter.
fn parameters(query: Option<&str>) -> Vec<(String, String)> {
    let query = query.unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

async fn rules(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let mut shown = Shown::default();
    let (mut limit, mut token) = (usize::MAX, None);
    for (name, value) in parameters(query.as_deref()) {
        match (name.as_str(), value.as_str()) {
            ("type", "alert" | "record") => shown.kind = Some(value),
            ("type", _) => {
                return refused(StatusCode::BAD_REQUEST, "bad_data", format!("not supported value {value:?}"));
            }
            ("rule_name[]", _) => _ = shown.rules.insert(value),
            ("rule_group[]", _) => _ = shown.groups.insert(value),
            ("file[]", _) => _ = shown.files.insert(value),
            ("match[]", _) => match Query::parse(&value, Grammar::default()) {
                Ok(selector) if matches!(selector.expr().kind, ExprKind::Selector(_)) => {
                    let plan = selector.instant(0, &Options::default());
                    shown.matchers.extend(plan.selections().iter().map(|selection| selection.matchers.clone()));
                }
                Ok(_) => return refused(StatusCode::BAD_REQUEST, "bad_data", "match[]: expected a selector of series"),
                Err(error) => return refused(StatusCode::BAD_REQUEST, "bad_data", format!("match[]: {error}")),
            },
            ("exclude_alerts", "true" | "1") => shown.without_alerts = true,
            ("group_limit", number) => match number.parse::<usize>() {
                Ok(number) if number > 0 => limit = number,
                _ => {
                    let message = "group_limit: expected a number above 0";
                    return refused(StatusCode::BAD_REQUEST, "bad_data", message);
                }
            },
            ("group_next_token", _) => token = Some(value),
            _ => {}
        }
    }
    let all: Vec<(String, Value)> = shared.with_groups(|books| {
        let named = books.iter().filter_map(|book| Some((page_token(&book.key), book.json(&shown)?)));
        named.collect()
    });
    let from = token.as_ref().and_then(|token| all.iter().position(|(key, _)| key == token)).unwrap_or(0);
    if token.is_some_and(|token| all.iter().all(|(key, _)| *key != token)) {
        let message = "group_next_token: the group is not there any more, begin again";
        return refused(StatusCode::BAD_REQUEST, "bad_data", message);
    }
    let next = all.get(from.saturating_add(limit)).map(|(key, _)| key.clone());
    let groups: Vec<Value> = all.into_iter().skip(from).take(limit).map(|(_, group)| group).collect();
    match next {
        Some(token) => success(json!({ "groups": groups, "groupNextToken": token })),
        None => success(json!({ "groups": groups })),
    }
}

fn page_token(key: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(key.as_bytes()))
}

async fn active(State(shared): State<Arc<Shared>>) -> Response {
    let alerts: Vec<Value> =
        shared.with_groups(|books| books.iter().flat_map(|book| book.state.rules.iter().flat_map(alerts)).collect());
    success(json!({ "alerts": alerts }))
}

#[cfg(test)]
mod tests;
