//! Attributes: both content modes, what is required, which events are ours, which time counts.

use super::*;
use std::collections::BTreeSet;

fn binary(without: &str, more: &[(&'static str, &'static [u8])]) -> Vec<(&'static str, &'static [u8])> {
    let all: [(&str, &[u8]); 8] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"orders.order.paid.v1"),
        ("ce_subject", b"order/1"),
        ("ce_time", b"2026-03-14T18:22:07Z"),
        ("ce_tenantkind", b"creator"),
        ("ce_tenantid", b"c1"),
    ];
    more.iter().copied().chain(all.into_iter().filter(|(name, _)| *name != without)).collect()
}

#[test]
fn structured_and_binary_mode_give_equal_columns() {
    let data = r#"{"amount":7,"price":"12.50","note":"né","customer":{"tier":"gold"}}"#;
    let mut decoder = decoder();
    let structured = List(&[("content-type", b"application/cloudevents+json; charset=utf-8")]);
    let first = said(decode_with(&mut decoder, event(data).as_bytes(), &structured)).unwrap();
    let headers = binary("", &[("content-type", b"application/json")]);
    let second = said(decode_with(&mut decoder, data.as_bytes(), &List(&headers))).unwrap();
    assert_eq!(first, second);
    let rows = rows(&mut decoder);
    assert_eq!(rows[0], rows[1]);
    assert_eq!(
        rows[0],
        "tenant=creator:c1 event_id=e1 event_source=/shop subject=order/1 amount=7 customer_tier=gold note=né price=12.50"
    );
}

#[test]
fn each_reason_is_reached_by_a_concrete_mistake() {
    let good = event(r#"{"amount":1,"status":"paid"}"#);
    let too_deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let long = "x".repeat(65);
    let cases: &[(&str, &str, &str)] = &[
        // replace, by, outcome
        (&good, "", "broken_json: EOF"),
        (&good, "\u{feff}{}", "broken_json: "),
        (&good, "[1]", "wrong_type: invalid type: sequence, expected a CloudEvent as a JSON object"),
        (&good, "null", "wrong_type: "),
        (&good, "5", "wrong_type: "),
        ("}}", "}", "broken_json: "),
        ("}}", "}} {}", "broken_json: "),
        ("}}", "},}", "broken_json: "),
        (r#""amount":1"#, r#""amount":01"#, "broken_json: "),
        (r#""amount":1"#, r#""amount":NaN"#, "broken_json: "),
        (r#""amount":1"#, r#"amount:1"#, "broken_json: "),
        ("order/1", "order\u{1}1", "broken_json: "),
        ("order/1", r"order\x1", "broken_json: "),
        ("order/1", r"order\ud800", "broken_json: "),
        (
            "{\"amount\":1",
            &format!("{{\"unread\":{too_deep},\"amount\":1"),
            "broken_json: nested deeper than 128 levels",
        ),
        (r#""id":"e1""#, r#""other":"e1""#, "missing_attribute: id is required"),
        (r#""id":"e1""#, r#""id":null"#, "missing_attribute: id is required"),
        (r#""id":"e1""#, r#""id":"""#, "missing_attribute: id is required"),
        (r#""id":"e1""#, r#""id":1"#, "wrong_type: invalid type: integer `1`, expected a string"),
        (r#""source":"/shop","#, "", "missing_attribute: source is required"),
        (r#""type":"orders.order.paid.v1","#, "", "missing_attribute: type is required"),
        (r#""orders.order.paid.v1""#, r#""""#, "missing_attribute: type is required"),
        (r#""specversion":"1.0","#, "", "missing_attribute: specversion is required"),
        (r#""1.0""#, r#""0.3""#, "unsupported_format: specversion: expected \"1.0\", found \"0.3\""),
        (r#""data":{"#, r#""data_base64":"e30=","data":{"#, "unsupported_format: data_base64 is not supported"),
        (r#""tenantkind":"creator","#, "", "missing_tenant: "),
        (r#""tenantid":"c1","#, r#""tenantid":"","#, "missing_tenant: tenantkind and tenantid are required"),
        ("2026-03-14T18:22:07Z", "yesterday", "bad_timestamp: time: expected RFC 3339, found \"yesterday\""),
        ("2026-03-14", "1990-01-01", "bad_timestamp: before the year 2000"),
        ("2026-03-14", "2099-01-01", "future_timestamp: "),
        (r#""amount":1,"#, "", "missing_attribute: data.amount is required"),
        (r#""amount":1"#, r#""amount":null"#, "missing_attribute: data.amount is required"),
        (r#""amount":1"#, r#""amount":"1""#, "wrong_type: data.amount: expected an integer, found \"1\""),
        (r#""paid"}"#, r#""lost"}"#, "unknown_enum: data.status: \"lost\" is not one of the listed values"),
        ("order/1", &long, "string_too_long: subject: 65 bytes, the limit is 64 (string_bytes_max)"),
        (r#""paid"}"#, &format!(r#""paid","note":"{long}"}}"#), "string_too_long: data.note: 65 bytes"),
        (r#"{"amount":1,"status":"paid"}"#, "[1]", "wrong_type: data: "),
        (r#"{"amount":1,"status":"paid"}"#, "\"text\"", "wrong_type: data: "),
        (r#"{"amount":1,"status":"paid"}"#, "null", "missing_attribute: data.amount"),
    ];
    let mut reached = BTreeSet::new();
    let mut decoder = decoder();
    for (from, to, expected) in cases {
        assert!(good.contains(from), "{from}");
        let reject = decode(&mut decoder, good.replace(from, to).as_bytes()).expect_err(to);
        assert!(reject.to_string().starts_with(expected), "{to:.60} gives {reject}, expected {expected}");
        reached.insert(reject.reason);
        // Whatever was read of it is gone, and the next row stands where it should.
        decode(&mut decoder, good.as_bytes()).unwrap();
    }
    assert_eq!(decoder.row_count(), cases.len());
    let all = rows(&mut decoder);
    assert!(
        all.iter()
            .all(|row| row == "tenant=creator:c1 event_id=e1 event_source=/shop subject=order/1 amount=1 status=paid"),
        "{all:#?}"
    );

    let invalid = decode(&mut decoder, b"{\"id\":\"\xff\"}").unwrap_err();
    assert_eq!(invalid.to_string(), "broken_json: not UTF-8 after 7 bytes");
    let large = decode(&mut decoder, &vec![b' '; 11 << 20]).unwrap_err();
    assert_eq!(large.to_string(), "record_too_large: 11534336 bytes, the limit is 1048576 (record_bytes_max)");
    reached.insert(large.reason);
    // `explode` reaches it.
    reached.insert(Reason::TooManyElements);
    assert_eq!(reached, BTreeSet::from(Reason::ALL));
}

#[test]
fn binary_mode_needs_the_same_attributes_and_json() {
    for (without, more, expected) in [
        ("ce_id", &[][..], "missing_attribute: id is required"),
        ("ce_source", &[], "missing_attribute: source is required"),
        ("ce_type", &[], "missing_attribute: type is required"),
        ("ce_tenantid", &[], "missing_tenant: "),
        ("", &[("ce_specversion", b"1.1".as_slice())], "unsupported_format: specversion"),
        ("", &[("ce_subject", b"\xff")], "wrong_type: header ce_subject is not UTF-8"),
        (
            "",
            &[("content-type", b"application/avro")],
            "unsupported_format: content-type: expected application/json, found \"application/avro\"",
        ),
        (
            "",
            &[("content-type", b"application/cloudevents+avro")],
            "unsupported_format: content-type: expected application/cloudevents+json",
        ),
        ("", &[("content-type", b"application/cloudevents-batch+json")], "unsupported_format: content-type"),
    ] {
        let headers = binary(without, more);
        let reject = decode_with(&mut decoder(), br#"{"amount":1}"#, &List(&headers)).unwrap_err();
        assert!(reject.to_string().starts_with(expected), "{without} {more:?} gives {reject}");
    }
    for more in [
        &[][..],
        &[("content-type", b"text/json".as_slice())],
        &[("content-type", b"application/vnd.shop+JSON; charset=utf-8")],
    ] {
        decode_with(&mut decoder(), br#"{"amount":1}"#, &List(&binary("", more))).unwrap();
    }
    let empty = decode_with(&mut decoder(), b"", &List(&binary("", &[]))).unwrap_err();
    assert_eq!(empty.to_string(), "missing_attribute: data.amount is required");
}

#[test]
fn a_reject_says_whose_it_is_and_bounds_its_texts() {
    let reject = decode(&mut decoder(), event("{}").as_bytes()).unwrap_err();
    assert_eq!((reject.event_id.as_deref(), reject.event_type.as_deref()), (Some("e1"), Some("orders.order.paid.v1")));
    let long = "é".repeat(10_000);
    let reject =
        decode(&mut decoder(), event("{}").replace("e1", &long).replace("2026", &long).as_bytes()).unwrap_err();
    assert_eq!(reject.event_id.unwrap().len(), 1024);
    assert!(reject.detail.len() <= 1024);
}

#[test]
fn events_belong_to_a_source_by_type_and_topic() {
    for (event_type, topic, expected) in [
        ("orders.order.paid.v1", Some(TOPIC), "row"),
        ("com.example.orders.order.paid.v1", Some(TOPIC), "row"),
        ("orders.order.paid.v1", None, "row"),
        ("orders.order.paid.v1", Some("other"), "ignored, declared: false"),
        ("orders.order.paid.v2", Some(TOPIC), "ignored, declared: false"),
        ("xorders.order.paid.v1", Some(TOPIC), "ignored, declared: false"),
        ("order.paid.v1", Some(TOPIC), "ignored, declared: false"),
        ("com.example.orders.order.shipped.v1", Some(TOPIC), "ignored, declared: true"),
        ("...", Some(TOPIC), "ignored, declared: false"),
    ] {
        let payload = event(r#"{"amount":1}"#).replace("orders.order.paid.v1", event_type);
        let record = RawRecord { topic, payload: payload.as_bytes(), timestamp_us: None, headers: &NoHeaders };
        let got = match decoder().decode(&record, NOW_US).unwrap() {
            Decoded::Rows { .. } => "row".to_owned(),
            Decoded::Ignored { declared } => format!("ignored, declared: {declared}"),
        };
        assert_eq!(got, expected, "{event_type} in {topic:?}");
    }
}

#[test]
fn an_event_that_nobody_reads_is_let_go_even_without_tenant_and_data() {
    let payload = br#"{"specversion":"1.0","type":"orders.order.shipped.v1"}"#;
    assert_eq!(decode(&mut decoder(), payload), Ok(Decoded::Ignored { declared: true }));
}

#[test]
fn a_missing_time_falls_back_in_the_declared_order_then_to_the_record() {
    let seconds = |data: &str, record_s: Option<i64>| {
        let payload = event(&data.replace("T:", "2026-03-14T18:22:")).replace(r#""time":"2026-03-14T18:22:07Z","#, "");
        let timestamp_us = record_s.map(|s| NOW_US + s * SECOND_US);
        let record = RawRecord { topic: Some(TOPIC), payload: payload.as_bytes(), timestamp_us, headers: &NoHeaders };
        match decoder().decode(&record, NOW_US) {
            Ok(Decoded::Rows { sources: [SourceRows { event_time_us, time_fallback: true, .. }], .. }) => {
                Ok((event_time_us - NOW_US) / SECOND_US)
            }
            Ok(other) => panic!("{other:?}"),
            Err(reject) => Err(reject.to_string()),
        }
    };
    assert_eq!(
        seconds(r#"{"amount":1,"placed_at":"T:01Z","paid_at":"T:02Z"}"#, Some(-5)),
        Ok(-8),
        "paid_at comes first"
    );
    assert_eq!(seconds(r#"{"amount":1,"placed_at":"T:01Z"}"#, Some(-5)), Ok(-9));
    assert_eq!(seconds(r#"{"amount":1,"placed_at":"T:01Z","paid_at":null}"#, Some(-5)), Ok(-9));
    assert_eq!(
        seconds(r#"{"amount":1,"placed_at":"T:01Z","placed_at":null}"#, Some(-5)),
        Ok(-5),
        "the last one counts"
    );
    assert_eq!(seconds(r#"{"amount":1,"placed_at":"soon"}"#, Some(-5)), Ok(-5));
    assert_eq!(seconds(r#"{"amount":1,"placed_at":"soon","seen":{"at":"T:03Z"}}"#, Some(-5)), Ok(-7));
    assert_eq!(seconds(r#"{"amount":1}"#, Some(-5)), Ok(-5));
    assert_eq!(seconds(r#"{"amount":1}"#, None), Err("missing_attribute: time is required".to_owned()));
}

#[test]
fn the_future_is_measured_from_the_record_and_from_now() {
    let decode_at = |time_s: i64, record_s: Option<i64>| {
        let payload = event(r#"{"amount":1}"#)
            .replace("18:22:07", &format!("18:{:02}:{:02}", 22 + (10 + time_s) / 60, (10 + time_s) % 60));
        let timestamp_us = record_s.map(|s| NOW_US + s * SECOND_US);
        let record = RawRecord { topic: Some(TOPIC), payload: payload.as_bytes(), timestamp_us, headers: &NoHeaders };
        decoder().decode(&record, NOW_US).map(|_| ()).map_err(|r| r.reason)
    };
    assert_eq!(decode_at(300, None), Ok(()));
    assert_eq!(decode_at(301, None), Err(Reason::FutureTimestamp));
    assert_eq!(
        decode_at(300, Some(-1)),
        Err(Reason::FutureTimestamp),
        "late arrival does not excuse the producer's clock"
    );
    assert_eq!(decode_at(301, Some(1000)), Err(Reason::FutureTimestamp), "nor does a wrong record timestamp");
}

#[test]
fn a_sequence_of_digits_is_a_number_and_anything_else_is_none() {
    for (sequence, expected) in [
        (r#""000000000012""#, Some("12")),
        (r#""0""#, Some("0")),
        (r#""9223372036854775807""#, Some("9223372036854775807")),
        (r#""00000000009223372036854775807""#, Some("9223372036854775807")),
        ("7", Some("7")),
        (r#""9223372036854775808""#, None),
        (r#""""#, None),
        (r#""-1""#, None),
        (r#""+1""#, None),
        (r#""1.0""#, None),
        (r#""a1""#, None),
        ("1.5", None),
        ("null", None),
        ("true", None),
        (r#"{"a":[1]}"#, None),
    ] {
        let payload = event(r#"{"amount":1}"#).replace(r#""subject""#, &format!(r#""sequence":{sequence},"subject""#));
        let expected = expected.map_or("amount=1".to_owned(), |n| format!("sequence={n} amount=1"));
        assert_eq!(outcome(&mut decoder(), payload.as_bytes()), expected, "{sequence}");
    }
    for (header, expected) in [("0042", Some("sequence=42")), ("x", None), ("", None)] {
        let mut decoder = decoder();
        let headers = [binary("", &[]), vec![("ce_sequence", header.as_bytes())]].concat();
        decode_with(&mut decoder, br#"{"amount":1}"#, &List(&headers)).unwrap();
        let row = rows(&mut decoder).remove(0);
        assert_eq!(row.split(' ').find(|cell| cell.starts_with("sequence=")), expected, "{header}");
    }
}
