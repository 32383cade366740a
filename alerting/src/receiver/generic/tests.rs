use super::super::PlainTexts;
use super::super::tests::{message, notification, slow};
use super::*;

#[test]
fn forms_are_encoded_and_secrets_hidden() {
    let config: GenericConfig = serde_yaml_ng::from_str(
        "{receiver: sms, url: 'https://sms/', headers: {X-Key: hush}, form: {to: '+49 1', text: 'a&b=c'}}",
    )
    .unwrap();
    let told = notification("generic", vec![slow("1")]);
    let built = build(&message(&told), &config, &PlainTexts);
    assert_eq!(String::from_utf8_lossy(&built.body), "text=a%26b%3Dc&to=%2B49+1");
    assert_eq!(built.method, "POST");
    assert!(!format!("{built:?}").contains("hush"));
    assert!(built.headers.iter().any(|(_, value)| value.reveal() == "application/x-www-form-urlencoded"));
    let body: GenericConfig =
        serde_yaml_ng::from_str("{receiver: sms, method: PUT, url: 'https://sms/', body: '{{ .Nope }}'}").unwrap();
    let built = build(&message(&told), &body, &PlainTexts);
    assert_eq!(
        (built.method.as_str(), String::from_utf8_lossy(&built.body).as_ref()),
        ("PUT", "[FIRING:1] Slow (1 critical)")
    );
    assert_eq!(built.remarks.len(), 1);
}
