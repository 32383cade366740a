use super::*;

fn texts(text: &str) -> Result<Vec<String>, String> {
    Matchers::parse(text).map(|found| found.iter().map(ToString::to_string).collect())
}

#[test]
fn both_notations_are_read() {
    for (text, expected) in [
        ("foo=bar", vec![r#"foo="bar""#]),
        (r#"{foo = "bar", dings != "bums", }"#, vec![r#"dings!="bums""#, r#"foo="bar""#]),
        ("foo=bar,dings!=bums", vec![r#"dings!="bums""#, r#"foo="bar""#]),
        (r#"statuscode=~"5..""#, vec![r#"statuscode=~"5..""#]),
        (
            r#"{quote="She said: \"Hi, ladies! That's gender-neutral…\""}"#,
            vec![r#"quote="She said: \"Hi, ladies! That's gender-neutral…\"""#],
        ),
        // Only the classic notation lets a value go unquoted with spaces and equal signs.
        ("foo=bar baz", vec![r#"foo="bar baz""#]),
        ("foo==bar", vec![r#"foo="=bar""#]),
        // Only the newer notation has such names.
        (r#""a label"=~"x|y""#, vec![r#""a label"=~"x|y""#]),
        ("straße=ja", vec![r#"straße="ja""#]),
        (r#"foo="\u00e9""#, vec![r#"foo="\\u00e9""#]),
        ("", vec![]),
        ("{}", vec![]),
        ("foo=", vec![r#"foo="""#]),
        (r#"foo="""#, vec![r#"foo="""#]),
    ] {
        assert_eq!(texts(text), Ok(expected.into_iter().map(String::from).collect()), "{text}");
    }
    for bad in ["foo", "=bar", "foo=~\"[\"", "{foo=bar", "foo=\"bar", "1a=\"", "foo=bar\"x", ",", "{,}", "foo=1,,bar=2"]
    {
        let lenient = bad == "{foo=bar";
        assert_eq!(texts(bad).is_err(), !lenient, "{bad}: {:?}", texts(bad));
    }
    assert!(Matcher::parse("{a=b}").is_err());
    assert!(Matcher::parse("a=b,c=d").is_ok_and(|matcher| matcher.value() == "b,c=d"), "the classic reading remains");
}

#[test]
fn expressions_are_anchored_and_read_as_re2() {
    let matches = |expression: &str, text: &str| Matcher::new(MatchOp::Regex, "a", expression).unwrap().matches(text);
    assert!(matches("foo|bar", "bar") && !matches("foo|bar", "foobar"));
    assert!(matches(r"\d+", "12") && !matches(r"\d+", "١٢"));
    assert!(!matches("a.b", "a\nb"));
    assert!(matches(".*", ""));
    assert!(Matcher::new(MatchOp::NotRegex, "a", ".+").unwrap().matches(""));
}
