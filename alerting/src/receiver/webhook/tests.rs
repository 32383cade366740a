use super::super::PlainTexts;
use super::super::tests::{message, notification, over, slow};
use super::*;
use crate::test_support::at;

#[test]
fn the_payload_is_version_four() {
    let told = notification("webhook", vec![slow("1"), over(slow("2"))]);
    let body = serde_json::to_value(payload(&message(&told), 1)).unwrap();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "alerts",
            "commonAnnotations",
            "commonLabels",
            "externalURL",
            "groupKey",
            "groupLabels",
            "receiver",
            "status",
            "truncatedAlerts",
            "version"
        ]
    );
    assert_eq!(
        (&body["version"], &body["status"], &body["truncatedAlerts"]),
        (&"4".into(), &"firing".into(), &1.into())
    );
    assert_eq!(body["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(body["commonLabels"]["severity"], "critical");
    assert!(body["commonLabels"].get("i").is_none());
    // Prometheus' own fingerprint of {alertname="Slow",i="1",severity="critical"} has 16 digits.
    assert_eq!(body["alerts"][0]["fingerprint"].as_str().unwrap().len(), 16);
}

#[test]
fn signatures_are_hmac_sha256() {
    // RFC 4231, test case 2, without our time before it.
    let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
    mac.update(b"what do ya want for nothing?");
    let known = super::super::hex(&mac.finalize().into_bytes());
    assert_eq!(known, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    let signed = signature(&Secret::new("key"), b"{}", at(0.0));
    assert!(
        signed.starts_with(&format!("t={},v1=", at(0.0).timestamp()))
            && signed.len() == "t=".len() + 10 + ",v1=".len() + 64,
        "{signed}"
    );
    assert_ne!(signed, signature(&Secret::new("key"), b"{ }", at(0.0)));
    assert_ne!(signed, signature(&Secret::new("key"), b"{}", at(1.0)));
}

#[test]
fn the_request_is_signed_and_custom_payloads_are_rendered() {
    let told = notification("webhook", vec![slow("1")]);
    let config = WebhookConfig { url: Some(Secret::new("http://hook/")), ..WebhookConfig::default() };
    let built = build(&message(&told), &config, Some(&Secret::new("key")), &PlainTexts);
    let (_, signed) = built.headers.iter().find(|(name, _)| name == SIGNATURE_HEADER).unwrap();
    assert_eq!(signed.reveal(), signature(&Secret::new("key"), &built.body, told.now));
    assert!(!format!("{built:?}").contains("http://hook/"));
    let written = serde_yaml_ng::from_str("{text: plain, more: [1, 'x']}").unwrap();
    let custom = WebhookConfig { payload: Some(written), ..config };
    let built = build(&message(&told), &custom, None, &PlainTexts);
    assert_eq!(String::from_utf8(built.body).unwrap(), r#"{"more":[1,"x"],"text":"plain"}"#);
}
