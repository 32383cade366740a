//! The CloudEvents 1.0 envelope: structured mode (all in the JSON body) or binary mode (`ce_` headers
//! and the data as body), as the Kafka protocol binding defines them.

use super::reject::{Reason, Reject};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use sonic_rs::LazyValue;
use std::borrow::Cow;
use std::fmt;

/// Headers of a record.
pub trait Headers: fmt::Debug {
    /// Value of the first header of that name.
    fn get(&self, name: &str) -> Option<&[u8]>;
}

/// A record without headers.
#[derive(Debug, Clone, Copy)]
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn get(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}

type Text<'a> = Option<Cow<'a, str>>;

/// The attributes we use. Others are ignored, as CloudEvents asks of consumers.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub id: Text<'a>,
    pub source: Text<'a>,
    pub event_type: Text<'a>,
    pub subject: Text<'a>,
    pub time: Text<'a>,
    pub tenant_kind: Text<'a>,
    pub tenant_id: Text<'a>,
    spec_version: Text<'a>,
    data: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    pub fn read(payload: &'a [u8], headers: &'a dyn Headers) -> Result<Self, Box<Reject>> {
        let body = std::str::from_utf8(payload)
            .map_err(|e| Reject::new(Reason::BrokenJson, format!("not UTF-8 after {} bytes", e.valid_up_to())))?;
        let content_type = headers.get("content-type").map(<[u8]>::to_ascii_lowercase);
        let is_structured = content_type.as_deref().is_some_and(|t| t.starts_with(b"application/cloudevents"));
        let envelope = if !is_structured && headers.get("ce_specversion").is_some() {
            Self::from_headers(headers, body)?
        } else {
            Self::from_body(body)?
        };
        match envelope.spec_version.as_deref() {
            Some("1.0") => Ok(envelope),
            Some(other) => Err(Reject::new(Reason::UnsupportedFormat, format!("specversion: expected \"1.0\", found {other:?}"))),
            None => Err(Reject::missing("specversion")),
        }
    }

    /// The JSON of `data`; an event without data has an empty object.
    pub fn data(&self) -> &str {
        self.data.as_deref().unwrap_or("{}")
    }

    fn from_body(body: &'a str) -> Result<Self, Box<Reject>> {
        let mut deserializer = sonic_rs::Deserializer::from_str(body);
        let read = EnvelopeSeed.deserialize(&mut deserializer).and_then(|e| deserializer.end().map(|()| e));
        read.map_err(|error| {
            let kind = if error.is_unmatched_type() || error.to_string().contains("expected a string") { Reason::WrongType } else { Reason::BrokenJson };
            Reject::new(kind, first_line(&error.to_string()))
        })
    }

    fn from_headers(headers: &'a dyn Headers, body: &'a str) -> Result<Self, Box<Reject>> {
        let get = |name: &str| -> Result<Text<'a>, Box<Reject>> {
            headers
                .get(name)
                .map(|v| std::str::from_utf8(v).map(Cow::Borrowed))
                .transpose()
                .map_err(|_| Reject::new(Reason::WrongType, format!("header {name} is not UTF-8")))
        };
        Ok(Self {
            id: get("ce_id")?,
            source: get("ce_source")?,
            event_type: get("ce_type")?,
            subject: get("ce_subject")?,
            time: get("ce_time")?,
            tenant_kind: get("ce_tenantkind")?,
            tenant_id: get("ce_tenantid")?,
            spec_version: get("ce_specversion")?,
            data: (!body.is_empty()).then_some(Cow::Borrowed(body)),
        })
    }
}

/// The library appends a picture of the text; the first line says it all.
pub(super) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

struct EnvelopeSeed;

impl<'de> DeserializeSeed<'de> for EnvelopeSeed {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvent as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut e = Envelope::default();
        while let Some(key) = map.next_key_seed(TextSeed)? {
            let slot = match key.as_deref().unwrap_or_default() {
                "specversion" => &mut e.spec_version,
                "id" => &mut e.id,
                "source" => &mut e.source,
                "type" => &mut e.event_type,
                "subject" => &mut e.subject,
                "time" => &mut e.time,
                "tenantkind" => &mut e.tenant_kind,
                "tenantid" => &mut e.tenant_id,
                "data" => {
                    let data: LazyValue<'de> = map.next_value()?;
                    e.data = Some(data.as_raw_cow());
                    continue;
                }
                "data_base64" => return Err(A::Error::custom("data_base64 is not supported; send JSON in data")),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *slot = map.next_value_seed(TextSeed)?;
        }
        Ok(e)
    }
}

/// A string, borrowed when it has no escapes; `null` is none.
pub(super) struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Text<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
