//! Content types: how a body is cut into records, one per event.

use super::answer::Refusal;
use super::binary;
use crate::decode::is_too_deep;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use sonic_rs::LazyValue;

/// How events lie in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// It is one event.
    Single,
    /// It is a JSON array of events.
    Batch,
    /// It has an event per line.
    Lines,
    /// It is the data of an event, whose attributes are headers.
    Binary,
}

impl Form {
    pub fn of(headers: &HeaderMap) -> Result<Self, Box<Refusal>> {
        let content_type = headers.get(header::CONTENT_TYPE).map(|t| String::from_utf8_lossy(t.as_bytes()));
        let content_type = content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let charset = parts.find_map(|p| p.strip_prefix("charset=")).map(|c| c.trim_matches('"'));
        let unsupported = |message: String| {
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content_type", message).hint(
                "application/cloudevents+json, application/cloudevents-batch+json, application/x-ndjson, or application/json with the attributes in ce- headers",
            ))
        };
        if let Some(other) = charset.filter(|c| !["utf-8", "utf8", "us-ascii"].contains(c)) {
            return unsupported(format!("charset: expected utf-8, found {other:?}"));
        }
        let is_json = media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json");
        match media_type {
            "application/cloudevents+json" | "application/cloudevents" => Ok(Self::Single),
            "application/cloudevents-batch+json" | "application/cloudevents-batch" => Ok(Self::Batch),
            "application/x-ndjson" | "application/ndjson" => Ok(Self::Lines),
            _ if media_type.starts_with("application/cloudevents") => {
                unsupported(format!("content-type: {media_type:?} is a format of events that is not known here"))
            }
            // An event without data needs no type of it.
            _ if binary::is_binary(headers) && (is_json || media_type.is_empty()) => Ok(Self::Binary),
            _ if binary::is_binary(headers) => {
                unsupported(format!("content-type: expected data in application/json, found {media_type:?}"))
            }
            "" => unsupported("content-type: there is none".to_owned()),
            other => unsupported(format!("content-type: {other:?} is not known here")),
        }
    }

    /// The events of a body, at most `events_max`, each as one CloudEvents object in JSON if it is well-formed.
    pub fn records(self, headers: &HeaderMap, body: Bytes, events_max: usize) -> Result<Vec<Bytes>, Box<Refusal>> {
        let records = match self {
            Self::Single => vec![body],
            Self::Binary => vec![binary::to_structured(headers, &body)?],
            Self::Batch => elements(&body)?,
            Self::Lines => lines(&body),
        };
        if records.len() > events_max {
            let message = format!("{} events, the limit is {events_max} (push.events_max)", records.len());
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_many_events", message)
                .hint("send them in several requests"));
        }
        Ok(records)
    }
}

fn elements(body: &Bytes) -> Result<Vec<Bytes>, Box<Refusal>> {
    let hint = "a batch is a JSON array of events";
    if is_too_deep(body) {
        return Err(Refusal::bad_request("the body is nested too deep").hint(hint));
    }
    let text = std::str::from_utf8(body).map_err(|e| {
        Refusal::bad_request(format!("the body is not UTF-8 after {} bytes", e.valid_up_to())).hint(hint)
    })?;
    let elements: Vec<LazyValue<'_>> = sonic_rs::from_str(text).map_err(|error| {
        // The library appends a picture of the text.
        let first_line = error.to_string().lines().next().unwrap_or_default().trim().to_owned();
        Refusal::bad_request(format!("the body is not an array of JSON: {first_line}")).hint(hint)
    })?;
    Ok(elements.iter().map(|e| Bytes::copy_from_slice(e.as_raw_str().as_bytes())).collect())
}

fn lines(body: &Bytes) -> Vec<Bytes> {
    let lines = body.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.map(|line| body.slice_ref(line)).collect()
}
