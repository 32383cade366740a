//! `serde_json` as the judge of what is read.

use super::{Member, Members, read_value};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// Members in their order, those that come twice included.
#[derive(Debug)]
struct Pairs(Vec<(String, Value)>);

impl PartialEq for Pairs {
    fn eq(&self, other: &Self) -> bool {
        let is_alike = |(a, b): (&(String, Value), &(String, Value))| a.0 == b.0 && is_alike(&a.1, &b.1);
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(is_alike)
    }
}

/// Equal, but for the last bits of floats, which `serde_json` may round the wrong way.
fn is_alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && is_alike(a.1, b.1))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 2.0 * f64::EPSILON * a.abs()
        }
        _ => a == b,
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// The members found, each value read by this reader; `None` when it is left alone.
fn members_of(found: &[Member], text: &str) -> Option<Pairs> {
    let pair = |member: &Member| {
        let value = read_value(member.value.of(text), PhantomData::<Value>).ok()?;
        Some((member.key.of(text).to_owned(), value))
    };
    found.iter().map(pair).collect::<Option<_>>().map(Pairs)
}

/// Compares what is read with what `serde_json` reads; says whether it is accepted.
///
/// # Panics
///
/// When the two differ.
pub fn check(members: &mut Members, text: &str) -> bool {
    if !members.read_event(text) {
        return false;
    }
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "no JSON: {text}");
    // Numbers beyond what a float holds are no value, though they are JSON.
    let Ok(expected) = serde_json::from_str::<Pairs>(text) else { return true };
    if let Some(found) = members_of(&members.attributes, text) {
        assert_eq!(found, expected, "{text}");
    }
    let data = expected.0.iter().rev().find(|(key, _)| key == "data").map(|(_, value)| value);
    match data {
        Some(Value::Object(data)) => {
            let Some(Pairs(found)) = members_of(&members.data, text) else { return true };
            let found = Value::Object(found.into_iter().collect());
            assert!(is_alike(&found, &Value::Object(data.clone())), "{text}");
        }
        _ => assert_eq!(members.data, [], "{text}"),
    }
    assert!(members.read_data(text) && members.attributes.is_empty());
    if let Some(found) = members_of(&members.data, text) {
        assert_eq!(found, expected, "{text}");
    }
    true
}
