use super::{MatchOp, Matcher, anchored};

#[test]
fn expressions_mean_what_they_mean_in_re2() {
    for (expression, text, expected) in [
        ("a.c", "a\nc", true),
        ("b", "abc", false),
        ("a|bc", "abc", false),
        (r"\d+", "42", true),
        (r"\d", "٣", false),
        (r"[\d.]+", "4.2", true),
        (r"[^\d]", "x", true),
        (r"\w+", "é", false),
        (r"[\W]", "é", true),
        (r"\bab\b", "ab", true),
        (r"\Qa.b\E.", "a.bc", true),
        (r"\Qa.b", "axb", false),
        (r"[[]", "[", true),
        (r"[]a]+", "]a", true),
        (r"[^]]", "a", true),
        (r"[[:alpha:]]+", "ab", true),
        (r"[a&&b]+", "a&b", true),
        (r"[+--]+", "+,-", true),
        ("(?i:PRO).*", "production", true),
        ("", "", true),
    ] {
        let found = anchored(expression).map(|regex| regex.is_match(text));
        assert_eq!(found, Ok(expected), "{expression} on {text}");
    }
    for expression in ["(", "a)(b", "*", "[a", "\\", r"[\", "[[:alpha:"] {
        assert!(anchored(expression).is_err(), "{expression}");
    }
}

#[test]
fn a_label_that_is_not_there_counts_as_empty() {
    for (op, value, expected) in [
        (MatchOp::Equal, "", true),
        (MatchOp::NotEqual, "", false),
        (MatchOp::NotEqual, "a", true),
        (MatchOp::Regex, "a|", true),
        (MatchOp::NotRegex, "a", true),
    ] {
        assert_eq!(Matcher::new("x", op, value).map(|matcher| matcher.matches("")), Ok(expected));
    }
}
