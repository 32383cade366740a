//! Label sets and their fingerprints, as Prometheus' common model defines them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidewatch_promql::labels::quote;

/// Labels by name, sorted. A missing label and an empty value are different here, alike in matchers.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The value of `name`, empty when it is missing.
    pub fn value(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// FNV-1a over names and values, each followed by the byte 255, in the order of names.
    pub fn fingerprint(&self) -> Fingerprint {
        let bytes = self.0.iter().flat_map(|(name, value)| {
            name.bytes().chain(std::iter::once(255)).chain(value.bytes()).chain(std::iter::once(255))
        });
        Fingerprint(
            bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }

    /// The labels named in `names` that are there.
    pub fn only<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Self {
        let found = names.into_iter().filter_map(|name| Some((name.clone(), self.0.get(name)?.clone())));
        Self(found.collect())
    }

    /// The labels that all of `sets` have with one value; none for no sets.
    pub fn common<'a>(mut sets: impl Iterator<Item = &'a Self>) -> Self {
        let mut common = sets.next().cloned().unwrap_or_default();
        for set in sets {
            common.0.retain(|name, value| set.0.get(name) == Some(value));
        }
        common
    }

    /// The order of Alertmanager's listings: fewer labels first, then by the first name or value that differs, where a
    /// set that lacks a name comes first.
    pub fn listing_order(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| {
            let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
            names.sort();
            for name in names {
                match (self.0.get(name), other.0.get(name)) {
                    (None, _) => return Ordering::Less,
                    (_, None) => return Ordering::Greater,
                    (Some(one), Some(two)) if one != two => return one.cmp(two),
                    _ => {}
                }
            }
            Ordering::Equal
        })
    }
}

/// `{a="b", c="d"}`, as group keys contain it.
impl fmt::Display for Labels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            write!(formatter, "{}{name}={}", if at == 0 { "" } else { ", " }, quote(value))?;
        }
        formatter.write_str("}")
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Identity of a label set: 64 bits, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}
