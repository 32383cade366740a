//! Rule files as written: which keys there are and which kinds of values.

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    pub groups: Option<Vec<RawGroup>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    #[serde(default)]
    pub name: String,
    pub interval: Option<Span>,
    pub query_offset: Option<Span>,
    pub limit: Option<i64>,
    pub labels: Option<Texts>,
    pub rules: Option<Vec<RawRule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub expr: Option<String>,
    #[serde(rename = "for")]
    pub hold_for: Option<Span>,
    pub keep_firing_for: Option<Span>,
    pub labels: Option<Texts>,
    pub annotations: Option<Texts>,
    pub tidewatch: Option<RawExtension>,
}

/// Our own keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawExtension {
    pub resolve_below: Option<f64>,
    pub resolve_above: Option<f64>,
    pub on_incomplete: Option<RawIncomplete>,
    pub thresholds: Option<RawThresholds>,
    pub runbook: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RawIncomplete {
    Wait,
    Hold,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawThresholds {
    pub fire: Option<String>,
    pub default: Option<f64>,
    pub resolve: Option<f64>,
    pub table: Option<Vec<RawThreshold>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawThreshold {
    #[serde(rename = "match")]
    pub matches: String,
    pub value: f64,
    pub resolve: Option<f64>,
}

/// A duration in milliseconds, written as PromQL writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub i64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        struct Written;
        impl Visitor<'_> for Written {
            type Value = Span;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a duration such as 30s or 1h30m")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                let hint = "write it as 30s or 1h30m";
                tidewatch_promql::duration::parse(text)
                    .map(Span)
                    .map_err(|message| E::custom(format!("{message}; {hint}")))
            }
        }
        deserializer.deserialize_str(Written)
    }
}

/// Texts by name, in the order they are written; a name stands once.
#[derive(Debug, Clone, Default)]
pub struct Texts(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Texts;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts: Vec<(String, String)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if texts.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("{name:?} stands here twice")));
                    }
                    texts.push((name, map.next_value()?));
                }
                Ok(Texts(texts))
            }

            fn visit_unit<E: Error>(self) -> Result<Texts, E> {
                Ok(Texts::default())
            }
        }
        deserializer.deserialize_map(Written)
    }
}
