use super::*;

fn written(members: impl FnOnce(&mut Object<'_>)) -> String {
    let mut out = Vec::new();
    object(&mut out, 0, members);
    String::from_utf8(out).unwrap()
}

fn time_text(time_us: i64) -> String {
    let mut out = Vec::new();
    write_time(&mut out, time_us);
    String::from_utf8(out).unwrap()
}

#[test]
fn members_are_separated_and_nested() {
    let json = written(|o| {
        o.text("a", "x");
        o.integer("b", -12);
        o.boolean("c", true);
        o.optional_text("d", None);
        o.objects("e", &[1, 2], |item, o| o.integer("n", *item));
        o.object("f", |_| ());
    });
    assert_eq!(json, r#"{"a":"x","b":-12,"c":true,"e":[{"n":1},{"n":2}],"f":{}}"#);
}

#[test]
fn texts_of_parts_numbers_with_a_point_and_dates() {
    let json = written(|o| {
        o.joined("subject", "order", "/", "ord_1");
        o.padded("sequence", 17, 12);
        o.decimal("rate", 1_234, 3);
        o.decimal("loss", -5, 2);
        o.date("day", 1_773_512_527_412_999);
    });
    assert_eq!(
        json,
        r#"{"subject":"order/ord_1","sequence":"000000000017","rate":1.234,"loss":-0.05,"day":"2026-03-14"}"#
    );
}

#[test]
fn text_is_escaped() {
    let text = "a\"b\\c\nd\u{1}é";
    let parsed: serde_json::Value = serde_json::from_str(&written(|o| o.text("t", text))).unwrap();
    assert_eq!(parsed["t"], text);
}

#[test]
fn integers_at_the_ends() {
    let json = written(|o| {
        o.integer("min", i64::MIN);
        o.integer("max", i64::MAX);
        o.integer("zero", 0);
    });
    assert_eq!(json, format!(r#"{{"min":{},"max":{},"zero":0}}"#, i64::MIN, i64::MAX));
}

#[test]
fn times_are_rfc_3339() {
    assert_eq!(time_text(0), "1970-01-01T00:00:00.000Z");
    assert_eq!(time_text(1_773_512_527_412_999), "2026-03-14T18:22:07.412Z");
    assert_eq!(time_text(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(time_text(1_709_251_199_999_000), "2024-02-29T23:59:59.999Z");
    assert_eq!(time_text(4_070_908_800_000_000), "2099-01-01T00:00:00.000Z");
    assert_eq!(time_text(-1000), "1969-12-31T23:59:59.999Z");
}

#[test]
fn a_wrong_clock_shifts_every_time() {
    let mut out = Vec::new();
    object(&mut out, 2_000_000, |o| {
        o.time("a", 0);
        o.object("b", |o| o.time("c", 1_000_000));
    });
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"a":"1970-01-01T00:00:02.000Z","b":{"c":"1970-01-01T00:00:03.000Z"}}"#
    );
}
