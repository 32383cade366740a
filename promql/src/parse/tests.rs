use super::pretty::pretty;
use super::{Grammar, parse, parse_selector};

fn printed(query: &str) -> String {
    match parse(query, Grammar { experimental: true, ..Grammar::default() }) {
        Ok(expr) => expr.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    for (query, expected) in [
        ("1+2*3", "1 + 2 * 3"),
        ("-2^2", "-2 ^ 2"),
        ("SUM BY (a) (x)", "sum by (a) (x)"),
        ("sum(x) without (a,b)", "sum without (a, b) (x)"),
        ("topk(3, x)", "topk(3, x)"),
        ("x{a=\"b\", c!~'d'}[5m] offset -90s @ 3", "x{a=\"b\",c!~\"d\"}[5m] @ 3.000 offset -1m30s"),
        ("rate(x[300])[1h:]", "rate(x[5m])[1h:]"),
        ("{\"foo.bar\", \"a.b\"=\"c\"}", "{\"foo.bar\",\"a.b\"=\"c\"}"),
        ("a + on(b) group_left(c) d", "a + on (b) group_left (c) d"),
        ("a == bool ignoring(x) b", "a == bool ignoring (x) b"),
        ("sum + by", "sum + by"),
        ("a and b or c unless d", "a and b or c unless d"),
        ("foo @ end()", "foo @ end()"),
        ("1h30m", "1h30m"),
        ("a:b:c", "a:b:c"),
        ("# comment\nup # and another", "up"),
        ("bool", "bool"),
    ] {
        assert_eq!(printed(query), expected);
        assert_eq!(printed(expected), expected);
    }
}

#[test]
fn errors_say_where_and_what() {
    for (query, expected) in [
        ("", "1:1: parse error: no expression found in input"),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("(1", "1:3: parse error: unclosed left parenthesis"),
        ("1)", "1:2: parse error: unexpected right parenthesis ')'"),
        ("rate(x)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector"),
        ("nope(x)", "1:1: parse error: unknown function with name \"nope\""),
        ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
        ("x{}[5m] + 1", "1:1: parse error: binary expression must contain only scalar and instant vector types"),
        ("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ("x{__name__=\"y\"}", "1:1: parse error: metric name must not be set twice: \"x\" or \"y\""),
        ("x offset 1m offset 2m", "1:13: parse error: offset may not be set multiple times"),
        (
            "sum(x) offset 1m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("x[5]y", "1:5: parse error: unexpected identifier \"y\""),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x{a=b}", "1:5: parse error: unexpected identifier \"b\" in label matching, expected string"),
        ("\n  x{", "2:5: parse error: unexpected end of input inside braces"),
        ("'a", "1:1: parse error: unterminated quoted string"),
        ("clamp(x)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 1"),
        ("x and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""),
        ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
}

#[test]
fn nesting_is_bounded() {
    assert!(printed(&format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000))).contains("nested more than"));
    assert!(printed(&"1+".repeat(10_000)).contains("more than 1000 operators"));
    assert!(printed(&"-".repeat(10_000)).contains("nested more than"));
}

#[test]
fn experimental_functions_are_off_by_default() {
    let error = parse("first_over_time(x[5m])", Grammar::default()).err().map(|error| error.message);
    assert_eq!(error.as_deref(), Some("function \"first_over_time\" is not enabled"));
}

#[test]
fn a_selector_alone_gives_its_matchers() {
    let matchers = parse_selector("up{job=~\"a|b\"}").map(|matchers| matchers.len());
    assert_eq!(matchers, Ok(2));
    assert!(parse_selector("rate(up[5m])").is_err() && parse_selector("up offset 1m").is_err());
}

#[test]
fn long_queries_are_split_over_lines() {
    let query = "sum by (job, instance) (rate(http_requests_total{job=\"api-server\",code=~\"5..\"}[5m])) / \
                 sum by (job, instance) (rate(http_requests_total{job=\"api-server\"}[5m]))";
    let expr = parse(query, Grammar::default());
    let text = expr.map(|expr| pretty(&expr)).unwrap_or_default();
    assert_eq!(
        text,
        "  sum by (job, instance) (rate(http_requests_total{code=~\"5..\",job=\"api-server\"}[5m]))\n\
         /\n  sum by (job, instance) (rate(http_requests_total{job=\"api-server\"}[5m]))"
    );
}
