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
    assert_eq!(general(-1.5e-7), "-1.5e-07");
    assert_eq!(general(5e-324), "5e-324");
    assert_eq!(general(0.0), "0");
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

#[test]
fn of_two_texts_as_near_the_even_one_is_written_as_go_does() {
    // What Go 1.26 prints by strconv.FormatFloat(value, 'f', -1, 64) and with 'g'.
    for (value, fixed, scientific) in [
        (f64::from_bits(4794304581936145728), "3407313496732.6562", "3.4073134967326562e+12"),
        (f64::from_bits(4832362400168542209), "1125899906842624.2", "1.1258999068426242e+15"),
        (f64::from_bits(4832362400168542211), "1125899906842624.8", "1.1258999068426248e+15"),
        (f64::from_bits(4546841220667670528), "0.00009775161743164062", "9.775161743164062e-05"),
        (f64::from_bits(4546823628481626112), "0.00009751319885253906", "9.751319885253906e-05"),
        (f64::from_bits(4519362226066292736), "0.000001430511474609375", "1.430511474609375e-06"),
        (f64::from_bits(4548686775312595852), "0.00012345678125", "0.00012345678125"),
        (f64::from_bits(4884153795883302912), "3458764513820541000", "3.458764513820541e+18"),
        (f64::from_bits(4845873199050653696), "9007199254740992", "9.007199254740992e+15"),
    ] {
        assert_eq!(plain(value), fixed);
        assert_eq!(general(value), scientific);
        assert_eq!(plain(-value), format!("-{fixed}"));
    }
}

proptest::proptest! {
    #[test]
    fn plain_numbers_are_as_short_as_the_standard_library_s_and_read_back(bits: u64, whole: i64, cents: i32) {
        let finite = [f64::from_bits(bits), whole as f64, f64::from(cents) / 100.0];
        for value in finite.into_iter().filter(|value| value.is_finite()) {
            let (text, other) = (plain(value), format!("{value}"));
            proptest::prop_assert_eq!(text.parse::<f64>(), Ok(value));
            proptest::prop_assert_eq!(text.len(), other.len());
            // They differ at most in the last digit, of two that are as near.
            proptest::prop_assert_eq!(&text[..text.len() - 1], &other[..other.len() - 1]);
            proptest::prop_assert_eq!(general(value).parse::<f64>(), Ok(value));
        }
    }
}
