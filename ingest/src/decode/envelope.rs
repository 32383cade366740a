//! The CloudEvents 1.0 envelope: structured mode (all in the JSON body) or binary mode (`ce_` headers
//! and the data as body), as the Kafka protocol binding defines them.

use super::plain::{Member, Members};
use super::reject::{Reason, Reject};
use crate::personal::{Personal, PersonalCounts};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use sonic_rs::{JsonValueTrait, LazyValue};
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

/// Deepest nesting that is read; the JSON library descends by recursion into what it skips.
const DEPTH_MAX: usize = 128;
/// Shorter bodies cannot be nested deep enough to matter, and are spared the look.
const DEPTH_FREE_BYTES: usize = 1024;

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
    /// Only digits that fit are a sequence; anything else is none, for the attribute is optional.
    pub sequence: Option<i64>,
    spec_version: Text<'a>,
    data: Option<Cow<'a, str>>,
    /// Those of `data` within the body, when they are known.
    members: Option<InBody<'a>>,
    /// Personal values outside of `data`.
    pub personal: PersonalCounts,
    has_data_base64: bool,
}

/// The attributes that every event must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'e> {
    pub id: &'e str,
    pub source: &'e str,
    pub tenant_kind: &'e str,
    pub tenant_id: &'e str,
}

impl<'a> Envelope<'a> {
    /// Who sent what about whom, or what is missing.
    pub fn identity(&self) -> Result<Identity<'_>, Box<Reject>> {
        fn text<'t>(attribute: &'t Text<'_>) -> Option<&'t str> {
            attribute.as_deref().filter(|t| !t.is_empty())
        }
        let id = text(&self.id).ok_or_else(|| Reject::missing("id"))?;
        let source = text(&self.source).ok_or_else(|| Reject::missing("source"))?;
        match (text(&self.tenant_kind), text(&self.tenant_id)) {
            (Some(tenant_kind), Some(tenant_id)) => Ok(Identity { id, source, tenant_kind, tenant_id }),
            _ => Err(Reject::new(
                Reason::MissingTenant,
                "tenantkind and tenantid are required; there is no default tenant",
            )),
        }
    }

    /// Reads the attributes; `members` are room for those of the body.
    pub fn read(
        payload: &'a [u8],
        headers: &'a dyn Headers,
        personal: &Personal,
        members: &'a mut Members,
    ) -> Result<Self, Box<Reject>> {
        let mode = Mode::of(headers)?;
        let body = simdutf8::compat::from_utf8(payload)
            .map_err(|e| Reject::new(Reason::BrokenJson, format!("not UTF-8 after {} bytes", e.valid_up_to())))?;
        let is_read = match mode {
            Mode::Binary => members.read_data(body),
            Mode::Structured => members.read_event(body),
        };
        let members = is_read.then_some(&*members);
        if members.is_none() && body.len() > DEPTH_FREE_BYTES && is_too_deep(payload) {
            return Err(Reject::new(Reason::BrokenJson, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let envelope = match mode {
            Mode::Binary => Self::from_headers(headers, body, members)?,
            Mode::Structured => match members.and_then(|members| Self::from_members(body, members, personal)) {
                Some(envelope) => envelope,
                None => Self::from_body(body, personal)?,
            },
        };
        let reject = match envelope.spec_version.as_deref() {
            Some("1.0") if envelope.has_data_base64 => {
                Reject::new(Reason::UnsupportedFormat, "data_base64 is not supported; send JSON in data")
            }
            Some("1.0") => return Ok(envelope),
            Some(other) => {
                Reject::new(Reason::UnsupportedFormat, format!("specversion: expected \"1.0\", found {other:?}"))
            }
            None => Reject::missing("specversion"),
        };
        Err(reject.of(envelope.id.as_deref(), envelope.event_type.as_deref()))
    }

    /// The JSON of `data`; an event without data has an empty object.
    pub fn data(&self) -> &str {
        self.data.as_deref().unwrap_or("{}")
    }

    /// Where the members of `data` stand, if that is known.
    pub fn data_members(&self) -> Option<InBody<'a>> {
        self.members
    }

    /// Reads a body whose members are known; what is wrong in it is left to others to say.
    fn from_members(body: &'a str, members: &'a Members, personal: &Personal) -> Option<Self> {
        let mut e = Self { members: Some(InBody { body, members: &members.data }), ..Self::default() };
        for member in &members.attributes {
            let json = member.value.of(body);
            let slot = match member.key.of(body) {
                "specversion" => &mut e.spec_version,
                "id" => &mut e.id,
                "source" => &mut e.source,
                "type" => &mut e.event_type,
                "subject" => &mut e.subject,
                "time" => &mut e.time,
                "tenantkind" => &mut e.tenant_kind,
                "tenantid" => &mut e.tenant_id,
                "sequence" => {
                    e.sequence = parse_sequence(unquoted(json).unwrap_or(json));
                    continue;
                }
                "data" => {
                    e.data = Some(Cow::Borrowed(json));
                    continue;
                }
                "data_base64" => {
                    e.has_data_base64 = true;
                    continue;
                }
                other if personal.names_keys() => {
                    personal.count_skipped(personal.action(other), json, &mut e.personal);
                    continue;
                }
                _ => continue,
            };
            *slot = match json {
                "null" => None,
                _ => Some(Cow::Borrowed(unquoted(json)?)),
            };
        }
        // Another `data` than an object has no members to go by.
        e.members = e.members.filter(|_| e.data.as_deref().is_none_or(|data| data.starts_with('{')));
        Some(e)
    }

    fn from_body(body: &'a str, personal: &Personal) -> Result<Self, Box<Reject>> {
        let mut deserializer = sonic_rs::Deserializer::from_str(body);
        let read =
            EnvelopeSeed { personal }.deserialize(&mut deserializer).and_then(|e| deserializer.end().map(|()| e));
        read.map_err(|error| {
            let kind = if error.is_unmatched_type() || error.to_string().contains("expected a string") {
                Reason::WrongType
            } else {
                Reason::BrokenJson
            };
            Reject::new(kind, first_line(&error.to_string()))
        })
    }

    fn from_headers(
        headers: &'a dyn Headers,
        body: &'a str,
        members: Option<&'a Members>,
    ) -> Result<Self, Box<Reject>> {
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
            sequence: headers.get("ce_sequence").and_then(|v| parse_sequence(std::str::from_utf8(v).ok()?)),
            spec_version: get("ce_specversion")?,
            data: (!body.is_empty()).then_some(Cow::Borrowed(body)),
            members: members.map(|members| InBody { body, members: &members.data }),
            has_data_base64: false,
            personal: PersonalCounts::default(),
        })
    }
}

/// Members of `data`, and the text in which they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct InBody<'a> {
    pub body: &'a str,
    pub members: &'a [Member],
}

/// The text of a string without escapes.
fn unquoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// Where the attributes are.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Binary,
    Structured,
}

impl Mode {
    fn of(headers: &dyn Headers) -> Result<Self, Box<Reject>> {
        let content_type = headers.get("content-type");
        // That of every event of most topics.
        if content_type == Some(b"application/cloudevents+json") {
            return Ok(Self::Structured);
        }
        let content_type = content_type.map(|t| String::from_utf8_lossy(t).to_ascii_lowercase());
        let media_type = content_type.as_deref().map(|t| t.split(';').next().unwrap_or_default().trim());
        let unsupported = |expected: &str, found: &str| {
            Err(Reject::new(Reason::UnsupportedFormat, format!("content-type: expected {expected}, found {found:?}")))
        };
        match media_type {
            Some("application/cloudevents" | "application/cloudevents+json") => Ok(Self::Structured),
            Some(other) if other.starts_with("application/cloudevents") => {
                unsupported("application/cloudevents+json", other)
            }
            _ if headers.get("ce_specversion").is_none() => Ok(Self::Structured),
            Some(other) if !other.ends_with("/json") && !other.ends_with("+json") => {
                unsupported("application/json", other)
            }
            _ => Ok(Self::Binary),
        }
    }
}

/// Is the body nested deeper than [`DEPTH_MAX`]?
pub(crate) fn is_too_deep(body: &[u8]) -> bool {
    // Counting the brackets is many times cheaper than following them, and clears almost every body.
    let brackets = body.iter().filter(|&&b| b == b'[' || b == b'{').count();
    brackets > DEPTH_MAX && depth(body) > DEPTH_MAX
}

/// Deepest nesting outside of strings.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The library appends a picture of the text; the first line says it all.
pub(super) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}

struct EnvelopeSeed<'p> {
    personal: &'p Personal,
}

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_> {
    type Value = Envelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_> {
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
                "sequence" => {
                    e.sequence = map.next_value_seed(SequenceSeed)?;
                    continue;
                }
                "data" => {
                    let data: LazyValue<'de> = map.next_value()?;
                    e.data = Some(data.as_raw_cow());
                    continue;
                }
                "data_base64" => {
                    map.next_value::<IgnoredAny>()?;
                    e.has_data_base64 = true;
                    continue;
                }
                other if self.personal.names_keys() => {
                    let action = self.personal.action(other);
                    let skipped: LazyValue<'de> = map.next_value()?;
                    self.personal.count_skipped(action, skipped.as_raw_str(), &mut e.personal);
                    continue;
                }
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

/// Digits, padded with zeros or not, that fit a 64-bit integer.
fn parse_sequence(text: &str) -> Option<i64> {
    // `parse` alone would take a sign.
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

struct SequenceSeed;

impl<'de> DeserializeSeed<'de> for SequenceSeed {
    type Value = Option<i64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let raw = LazyValue::deserialize(deserializer)?;
        Ok(match raw.as_str() {
            Some(text) => parse_sequence(text),
            None => parse_sequence(raw.as_raw_str()),
        })
    }
}
