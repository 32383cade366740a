//! What an answer means: pure.
//!
//! Slack: <https://docs.slack.dev/apis/web-api/> (errors, rate limits) and the error tables of `chat.postMessage` and
//! `chat.update`. PagerDuty: Events API v2, "API response codes & retry logic".

use crate::attempt::{Outcome, Reply, Report};
use crate::message::{FieldOfReply, HttpReply, Judge};
use crate::retry::parse_retry_after;
use serde_json::Value;
use std::collections::BTreeMap;

/// Bytes of one field of a reply that are kept; a longer one is not.
const FIELD_BYTES_MAX: usize = 512;

/// An answer, as far as it is looked at.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header `Retry-After`.
    pub retry_after: Option<String>,
    /// Header `Date`.
    pub date: Option<String>,
    /// Beginning of the body.
    pub body: Vec<u8>,
}

/// Judges an answer. The report's target is left empty.
pub fn judge(reply: &HttpReply, answer: &Answer, now_ms: i64) -> Report {
    let text = String::from_utf8_lossy(&answer.body);
    let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let (outcome, detail) = match by_status(answer.status) {
        Outcome::Delivered => match reply.judge {
            Judge::Status => (Outcome::Delivered, said(&json, &text)),
            Judge::SlackApi => slack(&json, &text),
            Judge::PagerDuty if answer.status == 202 => (Outcome::Delivered, said(&json, &text)),
            Judge::PagerDuty => {
                let detail = format!("expected status 202 of PagerDuty's Events API v2, found {}", answer.status);
                (Outcome::Misconfigured, format!("{detail}: is the URL that of /v2/enqueue?"))
            }
        },
        Outcome::Misconfigured if (300..400).contains(&answer.status) => {
            (Outcome::Misconfigured, "a redirect that is not followed: set the URL to where it leads".to_owned())
        }
        outcome => (outcome, said(&json, &text)),
    };
    let asks = matches!(outcome, Outcome::Throttled | Outcome::Unavailable | Outcome::Deferred);
    let retry_after = answer.retry_after.as_deref().filter(|_| asks);
    Report {
        code: Some(answer.status),
        retry_at_ms: retry_after.and_then(|value| parse_retry_after(value, answer.date.as_deref(), now_ms)),
        reply: (outcome == Outcome::Delivered).then(|| keep(&json, &reply.keep)).flatten(),
        ..Report::new(outcome, detail)
    }
}

/// 409, 423 and 425 say that the same request may succeed later: we send an idempotency key, and a receiver that is
/// still busy with the first of two equal requests answers the second with 409 (IETF draft "The Idempotency-Key
/// HTTP Header Field", section 2.7).
fn by_status(status: u16) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        429 => Outcome::Throttled,
        409 | 423 | 425 => Outcome::Deferred,
        407 | 501 | 505 | 511 => Outcome::Misconfigured,
        408 | 500..=599 => Outcome::Unavailable,
        400..=499 => Outcome::Refused,
        _ => Outcome::Misconfigured,
    }
}

/// Slack answers errors with status 200.
fn slack(json: &Value, text: &str) -> (Outcome, String) {
    let error = json.get("error").and_then(Value::as_str).unwrap_or_default();
    let outcome = match (json.get("ok").and_then(Value::as_bool), error) {
        (Some(true), _) => return (Outcome::Delivered, String::new()),
        (Some(false), "ratelimited" | "rate_limited" | "message_limit_exceeded") => Outcome::Throttled,
        (Some(false), "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout") => {
            Outcome::Unavailable
        }
        (Some(false), "accesslimited" | "team_added_to_org" | "external_channel_migrating") => Outcome::Deferred,
        (
            Some(false),
            "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" | "missing_scope"
            | "no_permission" | "not_in_channel" | "ekm_access_denied" | "org_login_required",
        ) => Outcome::Misconfigured,
        (Some(false), _) => Outcome::Refused,
        (None, _) => {
            let detail = format!("expected Slack's JSON with \"ok\", found {text:.100}: does a proxy answer?");
            return (Outcome::Unavailable, detail);
        }
    };
    (outcome, if error.is_empty() { text.to_owned() } else { error.to_owned() })
}

/// True if the message that should have been changed is not there or cannot be changed any more.
pub(super) fn is_gone(report: &Report) -> bool {
    const GONE: [&str; 5] =
        ["message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found", "is_inactive"];
    report.outcome == Outcome::Refused
        && (GONE.contains(&report.detail.as_str()) || matches!(report.code, Some(404 | 410)))
}

/// The sentence in an answer, if it is JSON of a usual shape; otherwise its beginning.
fn said(json: &Value, text: &str) -> String {
    let errors = json.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let message = ["message", "error", "detail", "title"].iter().find_map(|name| json.get(name)?.as_str());
    let parts: Vec<&str> = message.into_iter().chain(errors).collect();
    if parts.is_empty() { text.chars().take(600).collect() } else { parts.join(": ") }
}

fn keep(json: &Value, names: &[String]) -> Option<Reply> {
    let fields: BTreeMap<String, String> =
        names.iter().filter_map(|name| Some((name.clone(), field(json, name)?))).collect();
    (!fields.is_empty()).then_some(Reply(fields))
}

fn field(json: &Value, name: &str) -> Option<String> {
    let text = match json.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (text.len() <= FIELD_BYTES_MAX).then_some(text)
}

/// Puts fields of a reply into a body; `None` if the reply lacks one or the body is no JSON object.
pub fn refer(body: &str, fields: &[FieldOfReply], reply: &Reply) -> Option<String> {
    let mut body: serde_json::Map<String, Value> = serde_json::from_str(body).ok()?;
    for FieldOfReply { reply: from, body: to } in fields {
        body.insert(to.clone(), Value::String(reply.0.get(from)?.clone()));
    }
    serde_json::to_string(&body).ok()
}

#[cfg(test)]
mod tests;
