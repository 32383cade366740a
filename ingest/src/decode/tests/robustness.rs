//! Bytes of any kind: no panic, no half row, no row that depends on its neighbours.

use super::*;
use proptest::prelude::*;

const FULL: &str = r#"{"amount":12,"price":-3.25,"ratio":1e-3,"is_gift":true,"paid_at":"2026-03-14T18:22:06.123456Z","note":"\u00e9 \"x\"","currency":"GBP","status":"void","items":[{"sku":"a","n":[1,2,{}]}],"customer":{"tier":"gold"}}"#;

const BINARY: &[(&str, &[u8])] = &[
    ("ce_specversion", b"1.0"),
    ("ce_type", b"orders.order.paid.v1"),
    ("ce_id", b"1"),
    ("ce_source", b"/"),
    ("ce_tenantkind", b"a"),
    ("ce_tenantid", b"b"),
];

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&mut decoder(), &payload);
        let _ = decode_with(&mut decoder(), &payload, &List(BINARY));
    }

    #[test]
    fn text_that_looks_like_json_never_panics(data in r#"[\[\]{}",:0-9eE.+\-\\ntrufalsn\u{e9}]{0,80}"#) {
        let _ = decode(&mut decoder(), event(&data).as_bytes());
    }

    #[test]
    fn a_truncated_event_is_refused_and_leaves_no_half_row(cut in 1usize..600) {
        let (whole, mut decoder) = (event(FULL), decoder());
        let cut = cut.min(whole.len());
        decode(&mut decoder, whole.as_bytes()).unwrap();
        let reject = decode(&mut decoder, &whole.as_bytes()[..whole.len() - cut]).unwrap_err();
        prop_assert_eq!(reject.reason, Reason::BrokenJson);
        decode(&mut decoder, whole.as_bytes()).unwrap();
        let rows = rows(&mut decoder);
        prop_assert_eq!(rows.len(), 2);
        prop_assert_eq!(&rows[0], &rows[1]);
    }

    #[test]
    fn both_readers_say_the_same(flips in prop::collection::vec((0usize..700, r#"[\[\]{}",:0-9eE.+\-ntru a-z\u{e9}]"#), 0..4), binary: bool) {
        let mut plain = if binary { FULL.to_owned() } else { event(FULL) }.replace(r#"\u00e9 \"x\""#, "é");
        for (at, with) in flips {
            let at = plain.floor_char_boundary(at % plain.len());
            plain.replace_range(at..plain.ceil_char_boundary(at + 1), &with);
        }
        // An escape leaves a record to the library; the attribute means nothing.
        let escaped = plain.replacen('{', r#"{"\u0078":0,"#, 1);
        let headers = List(if binary { BINARY } else { &[] });
        let outcome = |payload: &str| {
            let mut decoder = decoder();
            match said(decode_with(&mut decoder, payload.as_bytes(), &headers)) {
                // What is broken is at another place, and may be called otherwise.
                Err(reject) if reject.reason == Reason::BrokenJson => "broken".to_owned(),
                Err(reject) => format!("{} {}", reject.reason.as_str(), reject.detail.split(" at line").next().unwrap()),
                outcome => format!("{outcome:?} {:?}", rows(&mut decoder)),
            }
        };
        prop_assert_eq!(outcome(&plain), outcome(&escaped), "{}", plain);
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours(flips in prop::collection::vec((0usize..700, any::<u8>()), 1..8)) {
        let whole = event(FULL);
        let mut spoiled = whole.clone().into_bytes();
        for (at, byte) in flips {
            let at = at % spoiled.len();
            spoiled[at] = byte;
        }
        let (mut together, mut alone) = (decoder(), decoder());
        decode(&mut together, whole.as_bytes()).unwrap();
        let first = said(decode(&mut together, &spoiled));
        decode(&mut together, whole.as_bytes()).unwrap();
        prop_assert_eq!(&first, &said(decode(&mut alone, &spoiled)));
        let (together, alone) = (rows(&mut together), rows(&mut alone));
        prop_assert_eq!(alone.len(), first.map_or(0, |sources| sources.len()));
        prop_assert_eq!(&together[1..together.len() - 1], &alone[..]);
        prop_assert_eq!(together.first(), together.last());
    }
}

#[test]
fn keys_that_are_ids_change_nothing() {
    let mut decoder = decoder();
    for number in 0..3000 {
        let data = format!(r#"{{"id{number}":0,"amount":{number},"x{number}":{{"amount":1}},"note":"n{number}"}}"#);
        assert_eq!(outcome(&mut decoder, event(&data).as_bytes()), format!("amount={number} note=n{number}"));
    }
}

#[test]
fn rows_keep_their_values_apart_however_many_columns_there_are() {
    let fields: String = (0..130).map(|i| format!("      f{i:03}: {{type: int64, required: true}}\n")).collect();
    let names: Vec<String> = (0..130).map(|i| format!("f{i:03}")).collect();
    let sources = format!("sources:\n  - name: wide\n    topic: {TOPIC}\n    type: wide\n    fields:\n{fields}");
    let rollups = format!(
        "CREATE ROLLUP wide_rows AS SELECT {0}, count(*) AS n FROM wide GROUP BY tumble(INTERVAL '10 seconds'), {0};",
        names.join(", ")
    );
    let catalog = Catalog::parse(&[("s".to_owned(), sources)], &[("r".to_owned(), rollups)]).unwrap();
    let mut decoder = Decoder::new(&catalog, LIMITS);
    let payload = |offset: usize| {
        let members: Vec<_> = names.iter().enumerate().map(|(i, name)| format!("\"{name}\":{}", i + offset)).collect();
        event(&format!("{{{}}}", members.join(","))).replace("orders.order.paid.v1", "wide")
    };
    decode(&mut decoder, payload(0).as_bytes()).unwrap();
    let without = payload(0).replace("\"f064\":64,", "");
    assert_eq!(
        decode(&mut decoder, without.as_bytes()).unwrap_err().to_string(),
        "missing_attribute: data.f064 is required"
    );
    decode(&mut decoder, payload(1000).as_bytes()).unwrap();
    let rows = rows(&mut decoder);
    assert!(
        rows[0].starts_with("f000=0 ") && rows[0].contains(" f064=64 ") && rows[0].ends_with(" f129=129"),
        "{}",
        rows[0]
    );
    assert!(
        rows[1].starts_with("f000=1000 ") && rows[1].contains(" f064=1064 ") && rows[1].ends_with(" f129=1129"),
        "{}",
        rows[1]
    );
}

#[test]
fn nesting_below_the_bound_is_read_and_brackets_in_strings_are_no_nesting() {
    let nested = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let padding = " ".repeat(2000);
    for unread in [nested, format!("\"{}\"", "[{\\\"".repeat(5000))] {
        let payload = event(&format!(r#"{{{LEAST},"unread":{unread}{padding}}}"#));
        assert_eq!(outcome(&mut decoder(), payload.as_bytes()), "amount=1");
    }
    // Small bodies are spared the look, so they must be harmless at their deepest.
    let mut deepest = event("").into_bytes();
    deepest.truncate(deepest.len() - 1);
    deepest.resize(1024, b'[');
    assert_eq!(decode(&mut decoder(), &deepest).unwrap_err().reason, Reason::BrokenJson);
}
