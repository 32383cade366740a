use super::{Labels, METRIC_NAME, quote};

#[test]
fn a_label_set_is_sorted_and_has_no_empty_values() {
    let labels = Labels::new([("job", "a"), (METRIC_NAME, "up"), ("empty", ""), ("job", "b")]);
    assert_eq!(labels.to_string(), r#"{__name__="up", job="b"}"#);
    assert_eq!(labels.get("job"), "b");
    assert_eq!(labels.get("empty"), "");
}

#[test]
fn equal_sets_have_equal_hashes_however_they_were_made() {
    let left = Labels::new([("a", "1"), ("b", "2")]);
    let right = Labels::new([("a", "1")]).with("b", "2");
    assert_eq!(left, right);
    assert_eq!(left.hash64(), right.hash64());
    assert_eq!(left.hash_filtered(|name| name == "a"), left.filter(|name| name == "a").hash64());
    assert_ne!(Labels::new([("a", "bc")]).hash64(), Labels::new([("ab", "c")]).hash64());
}

#[test]
fn names_outside_the_old_alphabet_are_quoted() {
    assert_eq!(Labels::new([("foo.bar", "x\"y")]).to_string(), r#"{"foo.bar"="x\"y"}"#);
    assert_eq!(quote("a\nb"), "\"a\\nb\"");
}
