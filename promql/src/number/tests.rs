use super::{general, parse, plain};

#[test]
fn numbers_are_written_as_go_writes_them() {
    for (value, expected) in [
        (0.1, "0.1"),
        (1e6, "1e+06"),
        (123456.0, "123456"),
        (1234567.0, "1.234567e+06"),
        (123456789.0, "1.23456789e+08"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (f64::INFINITY, "+Inf"),
        (f64::NAN, "NaN"),
        (-2.5, "-2.5"),
    ] {
        assert_eq!(general(value), expected);
    }
    assert_eq!(plain(1e21), "1000000000000000000000");
    assert_eq!(plain(f64::NEG_INFINITY), "-Inf");
}

#[test]
fn literals_are_read_in_every_base() {
    for (text, expected) in [
        ("1", 1.0),
        ("1_000", 1000.0),
        ("0x1F", 31.0),
        ("0755", 493.0),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e3", 1000.0),
        ("-1", -1.0),
    ] {
        assert_eq!(parse(text), Some(expected), "{text}");
    }
    assert!(parse("NaN").is_some_and(f64::is_nan));
    assert_eq!(parse("inF"), Some(f64::INFINITY));
    for text in ["", "x", "1__0", "_1", "1_", "0x", "1e", "infinity"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn plain_numbers_are_the_shortest_decimal_texts_without_exponents() {
    let known =
        [0.0, -0.0, 1.0, -5.0, 0.1, 1e-4, 9.999e-5, 1e-7, 1e15, 123_456_789.125, 9_007_199_254_740_993.0, 1e300];
    for value in known {
        assert_eq!(plain(value), format!("{value}"));
    }
}

proptest::proptest! {
    #[test]
    fn plain_numbers_are_those_of_the_standard_library(bits: u64, whole: i64, cents: i32) {
        let finite = [f64::from_bits(bits), whole as f64, f64::from(cents) / 100.0];
        for value in finite.into_iter().filter(|value| value.is_finite()) {
            proptest::prop_assert_eq!(plain(value), format!("{value}"));
        }
    }
}
