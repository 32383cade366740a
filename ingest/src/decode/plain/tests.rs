//! What is accepted is JSON to `serde_json` as well, and means the same.

use super::*;
use proptest::prelude::*;

fn check(text: &str) -> bool {
    oracle::check(&mut Members::default(), text)
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
    fn what_came_before_changes_nothing(events in prop::collection::vec((prop::collection::vec("a|ab|abc|b|data|é", 0..6), json()), 1..12)) {
        let mut members = Members::default();
        for (keys, value) in events {
            let pairs: Vec<_> = keys.iter().map(|key| format!("\"{key}\":{value}")).collect();
            let object = format!("{{{}}}", pairs.join(","));
            let text = format!(r#"{{"a":1,"data":{object},{}"#, &format!("\"z\":0,{}", &object[1..]).replace(",}", "}"));
            prop_assert!(oracle::check(&mut members, &text), "{}", text);
        }
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
