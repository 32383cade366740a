//! Scalars as Alertmanager's YAML reader takes them: durations, secrets, YAML 1.1 booleans, nulls for nothing.

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;
use serde::de::{Deserializer, Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use tidewatch_promql::duration;

/// What stands in the place of a secret in every output.
pub const REDACTED: &str = "<secret>";

/// A value that is written as a text. The text is read within the visitor, so that the reader's error has its place.
///
/// # Errors
/// Those of `parse`, and for anything but a text.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    struct Text<F>(&'static str, F);
    impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for Text<F> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            (self.1)(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(expected, parse))
}

/// A duration as Prometheus writes it: `30s`, `5m`, `1d12h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct PromDuration {
    /// Milliseconds, never negative.
    pub milliseconds: i64,
}

impl PromDuration {
    /// Of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self { milliseconds: seconds * 1000 }
    }

    /// As a difference of times.
    pub fn delta(self) -> TimeDelta {
        TimeDelta::milliseconds(self.milliseconds)
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&duration::format(self.milliseconds))
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| duration::parse(text).map_err(|reason| format!("{reason}, expected such as 30s"));
        from_text(deserializer, "a duration such as 30s", parse).map(|milliseconds| Self { milliseconds })
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration as Go writes it: `1m30s`, `1.5h`, `250ms`; used by time-outs and Pushover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct GoDuration {
    /// Nanoseconds.
    pub nanoseconds: i64,
}

impl GoDuration {
    /// Parses Go's notation; a bare `0` needs no unit.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid duration {text:?}, expected 30s or 1m30s");
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut total = 0_f64;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            let count: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            total += count
                * match &rest[..letters] {
                    "ns" => 1.0,
                    "us" | "µs" | "μs" => 1e3,
                    "ms" => 1e6,
                    "s" => 1e9,
                    "m" => 60e9,
                    "h" => 3600e9,
                    _ => return Err(wrong()),
                };
            rest = &rest[letters..];
        }
        let total = if negative { -total } else { total };
        if total.abs() >= 9.2e18 {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the line above")]
        Ok(Self { nanoseconds: total as i64 })
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "a duration such as 30s", |text| match text.parse::<i64>() {
            Ok(nanoseconds) => Ok(Self { nanoseconds }),
            Err(_) => Self::parse(text),
        })
    }
}

/// Text that no `Debug`, JSON or YAML output shows. Read it with [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the request that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "\"\"" } else { REDACTED })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { REDACTED })
    }
}

/// A value, where nothing or `null` means its default.
///
/// # Errors
/// Those of the value.
pub fn null_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A mapping to text whose keys are refused when repeated; `null` values are the empty text.
///
/// # Errors
/// For anything but a mapping of scalars.
pub fn text_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = Option::<UniqueMap<Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(map.0.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// A mapping whose keys are refused when repeated.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct UniqueMap<T>(pub BTreeMap<String, T>);

impl<T> Default for UniqueMap<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for UniqueMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map.next_value()?;
                    if entries.insert(key.clone(), value).is_some() {
                        return Err(A::Error::custom(format!("key {key:?} already set in map")));
                    }
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(Entries(std::marker::PhantomData)).map(Self)
    }
}

/// A boolean in YAML 1.1's spellings (`yes`, `off`, …), which Alertmanager's reader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spelling;
        impl Visitor<'_> for Spelling {
            type Value = Flag;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true or false")
            }

            fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Flag, E> {
                match text {
                    "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(Flag(true)),
                    "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(Flag(false)),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Flag, E> {
                Ok(Flag(false))
            }
        }
        deserializer.deserialize_any(Spelling)
    }
}
