//! The words of OpenTelemetry: `traceparent` of W3C's Trace Context, and OTLP's JSON.

use serde_json::{Map, json};

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub trace: u128,
    pub id: u64,
    pub parent: Option<u64>,
    pub kind: Kind,
    pub name: &'static str,
    pub start_us: i64,
    pub end_us: i64,
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Whom a span talks to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// Nobody else.
    #[default]
    Internal,
    /// It answers a request.
    Server,
    /// It makes one.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

/// Where a span belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: u128,
    /// 0: there is none.
    pub span: u64,
    pub is_sampled: bool,
}

impl Kind {
    pub fn parse(text: &str) -> Self {
        match text {
            "server" => Self::Server,
            "client" => Self::Client,
            _ => Self::Internal,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
        }
    }
}

/// Reads `00-<trace>-<span>-<flags>`; `None` when it is none, or says nothing.
pub fn parse_traceparent(text: &str) -> Option<Parent> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |part: &str, digits| part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let lengths = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    // Later versions may have more parts; this one has not, and version ff is none.
    if !lengths || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (trace != 0 && span != 0).then_some(Parent { trace, span, is_sampled })
}

/// The body of a request to `/v1/traces`.
pub fn request(service: &str, spans: &[Ended]) -> serde_json::Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let version = env!("CARGO_PKG_VERSION");
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", service), text("service.version", version)] },
        "scopeSpans": [{
            "scope": { "name": "tidewatch", "version": version },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Ended) -> serde_json::Value {
    let nanoseconds = |us: i64| us.saturating_mul(1000).to_string();
    let mut fields = Map::new();
    fields.insert("traceId".to_owned(), json!(format!("{:032x}", span.trace)));
    fields.insert("spanId".to_owned(), json!(format!("{:016x}", span.id)));
    if let Some(parent) = span.parent {
        fields.insert("parentSpanId".to_owned(), json!(format!("{parent:016x}")));
    }
    fields.insert("name".to_owned(), json!(span.name));
    fields.insert("kind".to_owned(), json!(span.kind.number()));
    fields.insert("startTimeUnixNano".to_owned(), json!(nanoseconds(span.start_us)));
    fields.insert("endTimeUnixNano".to_owned(), json!(nanoseconds(span.end_us)));
    let attributes = span.attributes.iter().map(|(key, value)| {
        // 64-bit integers are strings in protobuf's JSON.
        let value = match value {
            Value::Text(text) => json!({ "stringValue": text }),
            Value::Integer(number) => json!({ "intValue": number.to_string() }),
            Value::Number(number) => json!({ "doubleValue": number }),
            Value::Flag(flag) => json!({ "boolValue": flag }),
        };
        json!({ "key": key, "value": value })
    });
    fields.insert("attributes".to_owned(), attributes.collect());
    if let Some(error) = &span.error {
        fields.insert("status".to_owned(), json!({ "code": 2, "message": error }));
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let found = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!((found.span, found.is_sampled), (0xb7ad_6b71_6920_3331, true));
        let later = parse_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more").unwrap();
        assert!(!later.is_sampled);
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(parse_traceparent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn spans_are_written_as_otlp_wants_them() {
        let ended = Ended {
            trace: 10,
            id: 11,
            parent: Some(12),
            kind: Kind::Server,
            name: "request",
            start_us: 1,
            end_us: 2,
            attributes: vec![("rows", Value::Integer(3))],
            error: Some("no".to_owned()),
        };
        let body = request("shop", &[ended]);
        assert_eq!(body["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"], "shop");
        assert_eq!(
            body["resourceSpans"][0]["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "0000000000000000000000000000000a", "spanId": "000000000000000b",
                "parentSpanId": "000000000000000c", "name": "request", "kind": 2,
                "startTimeUnixNano": "1000", "endTimeUnixNano": "2000",
                "attributes": [{ "key": "rows", "value": { "intValue": "3" } }],
                "status": { "code": 2, "message": "no" },
            })
        );
    }
}
