//! Files of repairs: written, edited, read.

use super::super::testing::{click, id, letter};
use super::*;

#[test]
fn what_is_exported_is_read_back_byte_for_byte() {
    let payload = r#"{"b":1.50,"a":[1e400, "é\n"]}"#;
    let line = export_line(&letter(7, payload));
    let repairs = Repairs::parse(&line).unwrap();
    assert_eq!(repairs.payload(&id(7)).unwrap(), payload.as_bytes());
    assert_eq!(repairs.ids().collect::<Vec<_>>(), [&id(7)]);

    let lines = "{\r\n  \"a\": 1\n}\n";
    let line = export_line(&letter(8, lines));
    assert_eq!(line.matches('\n').count(), 1, "one line a letter: {line}");
    assert_eq!(Repairs::parse(&line).unwrap().payload(&id(8)).unwrap(), b"{    \"a\": 1 }");
}

#[test]
fn what_is_no_object_waits_for_its_repair() {
    let cut = StoredLetter { payload_bytes: 90_000, ..letter(3, "{}") };
    let text: String = [letter(1, "{\"a\":"), letter(2, "[1]"), cut].iter().map(export_line).collect();
    assert!(text.contains(r#""payload_bytes":5,"text":"{\"a\":","payload":null"#), "{text}");
    let repairs = Repairs::parse(&text).unwrap();
    assert_eq!((repairs.not_repaired(), repairs.ids().count()), (3, 0));
}

#[test]
fn mistakes_name_their_line() {
    let good = format!(r#"{{"topic":"clicks","partition":0,"offset":1,"payload":{}}}"#, click(1, Some("a")));
    let deep = format!(r#"{{"topic":"clicks","partition":0,"offset":1,"payload":{}}}"#, "[".repeat(100_000));
    for (second, expected) in [
        ("{", "line 3: EOF"),
        (r#"{"topic":"a","partition":0,"payload":{}}"#, "line 3: "),
        (
            r#"{"topic":"a","partition":0,"offset":1,"payload":"{}"}"#,
            "line 3: payload: expected an object, found \"{}\"",
        ),
        (good.as_str(), "line 3: clicks/0/1 stands in line 1 already"),
        (deep.as_str(), "line 3: nested too deep"),
    ] {
        let error = Repairs::parse(&format!("{good}\n\n{second}\n")).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains("hint: "), "{error}");
    }
}
