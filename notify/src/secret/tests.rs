use super::*;

#[test]
fn secrets_are_not_shown() {
    let url = SecretUrl::parse("https://user:pass@hooks.example.com:8443/services/T0/B0/tokentoken?sig=abc").unwrap();
    let shown = format!("{url} {url:?} {:?} {}", Secret::new("swordfish"), Secret::new("swordfish"));
    for secret in ["tokentoken", "pass", "sig", "services", "swordfish"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.starts_with("https://hooks.example.com:8443/#"), "{shown}");
    let other = SecretUrl::parse("https://hooks.example.com:8443/services/T0/B0/other").unwrap();
    assert_ne!(url.to_string(), other.to_string());
}

#[test]
fn urls_survive_the_store() {
    let url = SecretUrl::parse("https://h/a?b=c").unwrap();
    let stored = serde_json::to_string(&url).unwrap();
    assert_eq!(stored, "\"https://h/a?b=c\"");
    assert_eq!(serde_json::from_str::<SecretUrl>(&stored).unwrap(), url);
}

#[test]
fn what_is_no_http_url_is_refused_without_being_repeated() {
    for bad in ["secret-token", "ftp://secret-token/", "/secret-token", "http://"] {
        let error = SecretUrl::parse(bad).unwrap_err().to_string();
        assert!(!error.contains("secret-token"), "{error}");
    }
}

#[test]
fn texts_from_outside_are_bounded_and_cleaned() {
    let cleaned = clean("no such hook:\r\n/services/T0/B0 (user me)", ["/services/T0/B0", "me", "/"]);
    assert_eq!(cleaned, "no such hook:  <secret> (user me)");
    assert!(clean(&"ä".repeat(5000), []).len() <= DETAIL_BYTES_MAX + 3);
}
