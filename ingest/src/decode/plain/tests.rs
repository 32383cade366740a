//! What is accepted is JSON to `serde_json` as well, and means the same.

use super::*;
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

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
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
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
        let value = read_value(member.value.of(text), std::marker::PhantomData::<Value>).ok()?;
        Some((member.key.of(text).to_owned(), value))
    };
    found.iter().map(pair).collect::<Option<_>>().map(Pairs)
}

/// Compares what is read with what `serde_json` reads; says whether it is accepted.
fn check(text: &str) -> bool {
    let mut members = Members::default();
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

fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,19})", "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"];
    let string = "\"[^\"\\\\\u{0}-\u{1f}]{0,20}\"";
    let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), Just("false".to_owned()), number, string];
    leaf.prop_recursive(6, 40, 6, |value| {
        let item = (value, "[ \n\r\t]{0,2}");
        let items = prop::collection::vec(item, 0..6);
        let key = prop_oneof![Just("data".to_owned()), "[a-zé ]{0,12}"];
        let members = prop::collection::vec((key, items.clone()), 0..3);
        let array = |items: Vec<(String, String)>| {
            let items: Vec<_> = items.into_iter().map(|(value, space)| format!("{space}{value}{space}")).collect();
            format!("[{}]", items.join(","))
        };
        prop_oneof![
            items.prop_map(array),
            members.prop_map(move |members| {
                let value = |items: Vec<(String, String)>| match items.len() {
                    1 => items[0].0.clone(),
                    _ => array(items),
                };
                let members: Vec<_> =
                    members.into_iter().map(|(key, items)| format!("\"{key}\" : {}", value(items))).collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn json_without_escapes_is_read(first in json(), data in json(), last in json()) {
        let text = format!(r#" {{"first":{first}, "data" :{data},"last": {last} }} "#);
        prop_assert!(check(&text), "{}", text);
    }

    #[test]
    fn what_is_damaged_is_read_as_it_is_or_not_at_all(
        data in json(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}\":,0-9eE.+\\-\\\\ntu \u{1}é]"), 1..4),
    ) {
        let mut text = format!(r#"{{"first":-12.5e3,"data":{data},"last":"text"}}"#);
        for (at, with) in flips {
            let at = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary(at + 1);
            text.replace_range(at..end, &with);
        }
        check(&text);
    }

    #[test]
    fn what_looks_like_json_is_read_as_it_is_or_not_at_all(text in r#"\{("a":|"data":|[\[\]{}",: 0-9eE.+\-\\]|null|true){0,30}\}"#) {
        check(&text);
    }

    #[test]
    fn a_string_ends_where_it_ends_at_any_place(space in 0usize..20, text in "[ -~\u{0}-\u{1f}é]{0,40}") {
        check(&format!("{}{{\"{text}\":\"{text}\"}}", " ".repeat(space)));
    }
}

#[test]
fn examples() {
    for accepted in [
        "{}",
        r#"{"a":1}"#,
        r#"{"data":{},"data":{"b":[]}}"#,
        r#"{"data":{"a":1},"data":7}"#,
        r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":18446744073709551616,"d":1e300,"e":0.1,"f":0}"#,
        r#"{"a":1e999,"b":-0,"c":-0.0}"#,
        r#"{"é":"日本語\u{0}"}"#.replace("\\u{0}", "").as_str(),
    ] {
        assert!(check(accepted), "{accepted}");
    }
    for refused in [
        "",
        "{",
        "[]",
        "1",
        "{}{}",
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[,1]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":[1}"#,
        r#"{"a":{]}"#,
        r#"{"a":01}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":+1}"#,
        r#"{"a":nul}"#,
        r#"{"a":truee}"#,
        r#"{"a":"b}"#,
        "{\"a\":\"\n\"}",
        r#"{a:1}"#,
        r#"{"a":'b'}"#,
        "\u{feff}{}",
    ] {
        assert!(!check(refused), "{refused}");
    }
    // JSON, but left alone.
    assert!(!check(r#"{"a":"\n"}"#));
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(&nested(DEPTH_MAX as usize)));
    assert!(!check(&nested(DEPTH_MAX as usize + 1)));
}
