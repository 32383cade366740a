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
