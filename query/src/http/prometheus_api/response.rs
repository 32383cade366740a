//! Answers in Prometheus' JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use tidewatch_promql::number::{plain, push_plain};
use tidewatch_promql::{Answer, Histogram, Labels, Level, Sample, Value};

/// An error: `{"status": "error", "errorType": …, "error": …}`.
#[derive(Debug)]
pub struct Failure {
    kind: &'static str,
    message: String,
}

impl Failure {
    /// An error of a kind that Prometheus knows.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The request is wrong.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self::new("bad_data", message)
    }

    fn status(&self) -> StatusCode {
        match self.kind {
            "bad_data" => StatusCode::BAD_REQUEST,
            "execution" => StatusCode::UNPROCESSABLE_ENTITY,
            "timeout" | "unavailable" | "canceled" => StatusCode::SERVICE_UNAVAILABLE,
            "too_many_requests" => StatusCode::TOO_MANY_REQUESTS,
            "not_found" => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "status": "error", "errorType": self.kind, "error": self.message });
        let mut response =
            (self.status(), [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        if self.kind == "too_many_requests" {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

/// `{"status": "success", "data": …}`.
pub fn success(data: &Json) -> Response {
    body(json!({ "status": "success", "data": data }).to_string())
}

/// At most `limit` items, with a warning when there were more.
pub fn limited(items: impl IntoIterator<Item = Json>, limit: usize) -> Response {
    let mut items = items.into_iter();
    let data: Vec<Json> = items.by_ref().take(limit).collect();
    let mut answer = json!({ "status": "success", "data": data });
    if items.next().is_some() {
        answer["warnings"] = json!(["results truncated due to limit"]);
    }
    body(answer.to_string())
}

/// The answer to a query; at most `limit` series.
pub fn answered(answer: &Answer, query: &str, limit: usize) -> Response {
    let mut text =
        format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"{}\",\"result\":", answer.value.kind());
    let mut warnings = answer.annotations.rendered(Level::Warning, query);
    let count = match &answer.value {
        Value::Scalar { time_ms, value } => {
            pair(&mut text, *time_ms, *value);
            0
        }
        Value::String { time_ms, text: value } => {
            text.push('[');
            push_seconds(&mut text, *time_ms);
            text.push_str(&format!(",{}]", json!(value)));
            0
        }
        Value::Vector(samples) => {
            list(&mut text, samples.iter().take(limit), |text, sample| {
                metric(text, &sample.labels);
                match &sample.value {
                    Sample::Float(value) => {
                        text.push_str(",\"value\":");
                        pair(text, sample.time_ms, *value);
                    }
                    Sample::Histogram(histogram) => {
                        text.push_str(",\"histogram\":");
                        bucketed(text, sample.time_ms, histogram);
                    }
                }
                text.push('}');
            });
            samples.len()
        }
        Value::Matrix(all) => {
            list(&mut text, all.iter().take(limit), |text, series| {
                metric(text, &series.labels);
                if !series.floats.is_empty() {
                    text.push_str(",\"values\":");
                    list(text, &series.floats, |text, (time_ms, value)| pair(text, *time_ms, *value));
                }
                if !series.histograms.is_empty() {
                    text.push_str(",\"histograms\":");
                    list(text, &series.histograms, |text, (time_ms, histogram)| bucketed(text, *time_ms, histogram));
                }
                text.push('}');
            });
            all.len()
        }
    };
    text.push('}');
    if count > limit {
        warnings.push("results truncated due to limit".to_owned());
    }
    let infos = answer.annotations.rendered(Level::Info, query);
    for (name, remarks) in [("warnings", warnings), ("infos", infos)] {
        if !remarks.is_empty() {
            text.push_str(&format!(",\"{name}\":{}", json!(remarks)));
        }
    }
    text.push('}');
    body(text)
}

fn body(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A label set as an object.
pub fn labels(labels: &Labels) -> Json {
    labels
        .iter()
        .map(|label| (label.name.to_string(), Json::from(&*label.value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn metric(text: &mut String, of: &Labels) {
    text.push_str("{\"metric\":");
    text.push_str(&labels(of).to_string());
}

fn list<T>(text: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    text.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(']');
}

fn pair(text: &mut String, time_ms: i64, value: f64) {
    text.push('[');
    push_seconds(text, time_ms);
    text.push_str(",\"");
    push_plain(text, value);
    text.push_str("\"]");
}

/// Seconds with as many digits after the point as there are.
fn push_seconds(text: &mut String, time_ms: i64) {
    let (sign, ms) = (if time_ms < 0 { "-" } else { "" }, time_ms.unsigned_abs());
    let written = match ms % 1000 {
        0 => write!(text, "{sign}{}", ms / 1000),
        rest => write!(text, "{sign}{}.{rest:03}", ms / 1000),
    };
    // A text takes everything.
    debug_assert!(written.is_ok());
}

/// Buckets as `[rule, lower, upper, count]`: rule 0 is open on the left, 1 on the right, 2 on both, 3 on none.
fn bucketed(text: &mut String, time_ms: i64, histogram: &Histogram) {
    text.push('[');
    push_seconds(text, time_ms);
    text.push_str(",{\"count\":\"");
    push_plain(text, histogram.count);
    text.push_str("\",\"sum\":\"");
    push_plain(text, histogram.sum);
    text.push('"');
    let mut buckets = histogram.buckets().filter(|bucket| bucket.count != 0.0).peekable();
    if buckets.peek().is_some() {
        text.push_str(",\"buckets\":");
        list(text, buckets, |text, bucket| {
            let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(plain);
            text.push_str(&format!("[{rule},\"{lower}\",\"{upper}\",\"{count}\"]"));
        });
    }
    text.push_str("}]");
}
