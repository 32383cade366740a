//! Binary mode of the HTTP protocol binding: attributes in headers, data in the body. It becomes one JSON object,
//! so that a dead letter of it keeps all of the event.

use super::answer::Refusal;
use crate::decode::is_too_deep;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde_json::{Map, Value};

/// What precedes an attribute in the name of its header.
const PREFIX: &str = "ce-";

/// Does a request say that it is an event in binary mode?
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion")
}

/// The event in structured mode.
pub(super) fn to_structured(headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Box<Refusal>> {
    let mut attributes = Map::new();
    for (name, value) in headers {
        // These two have other places in this mode.
        let attribute = name.as_str().strip_prefix(PREFIX).filter(|a| !["data", "datacontenttype"].contains(a));
        if let Some(attribute) = attribute.filter(|a| !attributes.contains_key(*a)) {
            let value = attribute_value(value.as_bytes())
                .ok_or_else(|| Refusal::bad_request(format!("header {name} is not UTF-8")))?;
            attributes.insert(attribute.to_owned(), Value::String(value));
        }
    }
    if let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()) {
        attributes.insert("datacontenttype".to_owned(), content_type.into());
    }
    let mut event = Value::Object(attributes).to_string().into_bytes();
    if !body.is_empty() {
        let text = std::str::from_utf8(body).ok().filter(|_| !is_too_deep(body));
        let is_json = text.is_some_and(|text| sonic_rs::from_str::<sonic_rs::LazyValue<'_>>(text).is_ok());
        if !is_json {
            return Err(Refusal::bad_request("the body is not JSON")
                .hint("in binary mode the body is the event's data: JSON, as content-type says"));
        }
        event.pop();
        event.extend_from_slice(b",\"data\":");
        event.extend_from_slice(body);
        event.push(b'}');
    }
    Ok(event.into())
}

/// The text of a header: without quotes around it, and with `%xx` for what headers cannot hold.
fn attribute_value(value: &[u8]) -> Option<String> {
    let value = value.trim_ascii();
    let quoted = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\""));
    let mut text = Vec::with_capacity(value.len());
    let mut rest = quoted.unwrap_or(value);
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'\\', [escaped, after @ ..]) if quoted.is_some() => {
                text.push(*escaped);
                after
            }
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text.push(hex(*high) << 4 | hex(*low));
                after
            }
            _ => {
                text.push(byte);
                after
            }
        };
    }
    String::from_utf8(text).ok()
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn attributes_and_data_become_one_object() {
        let headers = headers(&[
            ("ce-specversion", "1.0"),
            ("ce-id", "a%20b"),
            ("ce-source", "/x"),
            ("ce-subject", "\"Euro %E2%82%AC \\\"quoted\\\"\""),
            ("ce-tenantid", "100%"),
            ("content-type", "application/json"),
            ("accept", "*/*"),
        ]);
        let event = to_structured(&headers, b" {\"a\": [1]}\n").unwrap();
        let event: Value = serde_json::from_slice(&event).unwrap();
        let expected = serde_json::json!({
            "specversion": "1.0", "id": "a b", "source": "/x", "subject": "Euro \u{20ac} \"quoted\"", "tenantid": "100%",
            "datacontenttype": "application/json", "data": { "a": [1] }
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn data_that_is_not_json_is_refused_and_may_be_missing() {
        let headers = headers(&[("ce-specversion", "1.0")]);
        assert_eq!(&*to_structured(&headers, b"").unwrap(), b"{\"specversion\":\"1.0\"}");
        for body in ["{", "{} {}", "}\"x\":1", "1,\"id\":2"] {
            assert!(to_structured(&headers, body.as_bytes()).is_err(), "{body}");
        }
        assert!(to_structured(&headers, "[".repeat(100_000).as_bytes()).is_err());
    }
}
