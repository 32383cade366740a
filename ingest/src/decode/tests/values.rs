//! Fields of `data`: how each type is read, and where reading stops.

use super::*;

#[test]
fn values_become_the_declared_type_or_say_what_was_expected() {
    let mut decoder = decoder();
    for (members, expected) in [
        // int64
        (r#""amount":9223372036854775807"#, "amount=9223372036854775807"),
        (r#""amount":-9223372036854775808"#, "amount=-9223372036854775808"),
        (r#""amount":9223372036854775808"#, "wrong_type: data.amount: expected an integer, found 9223372036854775808"),
        (
            r#""amount":18446744073709551616"#,
            "wrong_type: data.amount: expected an integer, found 18446744073709552000",
        ),
        (r#""amount":1e3"#, "amount=1000"),
        (r#""amount":1.0"#, "amount=1"),
        (r#""amount":-0"#, "amount=0"),
        (r#""amount":1.5"#, "wrong_type: data.amount: expected an integer, found 1.5"),
        (r#""amount":9007199254740991.0"#, "amount=9007199254740991"),
        (r#""amount":9007199254740993.0"#, "wrong_type: data.amount: expected an integer, found 9007199254740992"),
        (r#""amount":true"#, "wrong_type: data.amount: expected an integer, found true"),
        (r#""amount":[1]"#, "wrong_type: data.amount: expected an integer, found an array"),
        (r#""amount":{"a":1}"#, "wrong_type: data.amount: expected an integer, found an object"),
        // decimal(2), exact whether number or string
        (r#""amount":1,"price":12.5"#, "amount=1 price=12.50"),
        (r#""amount":1,"price":"12.50""#, "amount=1 price=12.50"),
        (r#""amount":1,"price":12"#, "amount=1 price=12.00"),
        (r#""amount":1,"price":-0"#, "amount=1 price=0.00"),
        (r#""amount":1,"price":-0.07"#, "amount=1 price=-0.07"),
        (r#""amount":1,"price":1.2e1"#, "amount=1 price=12.00"),
        (r#""amount":1,"price":1200E-4"#, "amount=1 price=0.12"),
        (r#""amount":1,"price":0.1000"#, "amount=1 price=0.10"),
        (r#""amount":1,"price":99999999999999.99"#, "amount=1 price=99999999999999.99"),
        (r#""amount":1,"price":99999999999999999999999999.99"#, "amount=1 price=99999999999999999999999999.99"),
        (
            r#""amount":1,"price":100000000000000000000000000"#,
            "wrong_type: data.price: expected a decimal number, found 100000000000000000000000000",
        ),
        (r#""amount":1,"price":1e300"#, "wrong_type: data.price: expected a decimal number, found 1e300"),
        (r#""amount":1,"price":0e99999"#, "wrong_type: data.price: expected a decimal number, found 0e99999"),
        (r#""amount":1,"price":0.001"#, "wrong_type: data.price: expected a decimal number, found 0.001"),
        (r#""amount":1,"price":"12,50""#, "wrong_type: data.price: expected a decimal number, found \"12,50\""),
        (r#""amount":1,"price":"""#, "wrong_type: data.price: expected a decimal number, found \"\""),
        (r#""amount":1,"price":"-""#, "wrong_type: data.price: expected a decimal number, found \"-\""),
        (r#""amount":1,"price":"1-2""#, "wrong_type: data.price: expected a decimal number, found \"1-2\""),
        (r#""amount":1,"price":true"#, "wrong_type: data.price: expected a decimal number, found true"),
        (r#""amount":1,"price":[1]"#, "wrong_type: data.price: expected a decimal number, found [1]"),
        // float64
        (r#""amount":1,"ratio":2"#, "amount=1 ratio=2.0"),
        (r#""amount":1,"ratio":2.5e-1"#, "amount=1 ratio=0.25"),
        (r#""amount":1,"ratio":1e999"#, "broken_json: "),
        (r#""amount":1,"ratio":"2""#, "wrong_type: data.ratio: expected a number, found \"2\""),
        // boolean
        (r#""amount":1,"is_gift":false"#, "amount=1 is_gift=false"),
        (r#""amount":1,"is_gift":0"#, "wrong_type: data.is_gift: expected true or false, found 0"),
        // timestamp
        (r#""amount":1,"paid_at":"2026-03-14T19:22:07+01:00""#, "amount=1 paid_at=2026-03-14T18:22:07Z"),
        (
            r#""amount":1,"paid_at":1773512527"#,
            "wrong_type: data.paid_at: expected an RFC 3339 timestamp, found 1773512527",
        ),
        (
            r#""amount":1,"paid_at":"2026-02-30T00:00:00Z""#,
            "wrong_type: data.paid_at: expected an RFC 3339 timestamp, found \"2026-02-30T00:00:00Z\"",
        ),
        // enum
        (r#""amount":1,"currency":"EUR""#, "amount=1 currency=EUR"),
        (r#""amount":1,"currency":"usd""#, "amount=1 currency=USD"),
        (r#""amount":1,"currency":"eur""#, "amount=1 currency=other"),
        (r#""amount":1,"currency":5"#, "wrong_type: data.currency: expected one of the listed values, found 5"),
        // string
        (r#""amount":1,"note":5"#, "wrong_type: data.note: expected a string, found 5"),
        (r#""amount":1,"note":"""#, "amount=1 note="),
        // nested
        (r#""amount":1,"customer":{"tier":"gold","age":5}"#, "amount=1 customer_tier=gold"),
        (r#""amount":1,"customer":null"#, "amount=1"),
        (r#""amount":1,"customer":{}"#, "amount=1"),
        (r#""amount":1,"customer":"gold""#, "wrong_type: data: "),
        (r#""amount":1,"customer":{"tier":5}"#, "wrong_type: data.customer.tier: expected a string, found 5"),
        (r#""amount":1,"customer.tier":"gold""#, "amount=1"),
        (r#""amount":1,"tenant":{"region":"EU"},"shop_region":"US""#, "amount=1 shop_region=EU"),
        (r#""amount":1,"tenant":{"region":5}"#, "wrong_type: data.tenant.region: expected a string, found 5"),
        // null is no value
        (
            r#""amount":1,"price":null,"ratio":null,"is_gift":null,"paid_at":null,"note":null,"currency":null,"status":null"#,
            "amount=1",
        ),
        // what nobody reads is not looked at
        (r#""amount":1,"unread":"text","unknown":{"deep":[1,{"amount":5}]}"#, "amount=1"),
        // a key that comes twice keeps its last value
        (r#""amount":1,"amount":2,"note":"a","note":"bc","note":"d""#, "amount=2 note=d"),
        (r#""amount":1,"note":"a","note":null"#, "amount=1"),
        (r#""amount":1,"amount":null"#, "missing_attribute: data.amount is required"),
    ] {
        let got = outcome(&mut decoder, event(&format!("{{{members}}}")).as_bytes());
        assert!(
            got == expected || (expected.ends_with(": ") && got.starts_with(expected)),
            "{members}\n     got {got}\nexpected {expected}"
        );
    }
}

#[test]
fn layout_escapes_and_order_of_members_do_not_matter() {
    let plain = event(r#"{"amount":1,"note":"é😀/","customer":{"tier":"gold"}}"#);
    let escaped = event(r#"{"\u0061mount":1,"note":"\u00e9\ud83d\ude00\/","customer":{"t\u0069er":"gold"}}"#)
        .replace("\"id\"", r#""\u0069d""#)
        .replace("e1", r"\u0065\u0031");
    let spaced =
        plain.replace(':', " : ").replace(',', "\n,\t\r").replace("2026-03-14T18 : 22 : 07Z", "2026-03-14T18:22:07Z");
    let (head, data) = plain[1..plain.len() - 1].split_once(r#","data":"#).unwrap();
    let data_first = format!(r#"{{"data":{data},{head}}}"#);
    let mut decoder = decoder();
    for payload in [&plain, &escaped, &spaced, &data_first] {
        decode(&mut decoder, payload.as_bytes()).unwrap();
    }
    let rows = rows(&mut decoder);
    assert!(rows.iter().all(|row| *row == rows[0]), "{rows:#?}");
    assert!(rows[0].contains("note=é😀/"), "{}", rows[0]);
}

#[test]
fn an_unlisted_enum_value_counts_as_other_and_is_noted() {
    let notices = |currency: &str| {
        let payload = event(&format!(r#"{{"amount":1,"currency":"{currency}"}}"#));
        said(decode(&mut decoder(), payload.as_bytes())).unwrap().remove(0).notices
    };
    assert_eq!(notices("GBP"), [Notice { field: "currency".to_owned(), found: "GBP".to_owned(), rows: 1 }]);
    assert_eq!(notices("usd"), []);
}

#[test]
fn only_columns_that_a_rollup_reads_are_decoded() {
    let columns: Vec<_> = CATALOG.sources[0].columns.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(
        columns,
        [
            "tenant",
            "event_id",
            "event_source",
            "subject",
            "sequence",
            "amount",
            "currency",
            "customer_tier",
            "is_gift",
            "note",
            "paid_at",
            "price",
            "ratio",
            "shop_region",
            "status",
        ]
    );
}
