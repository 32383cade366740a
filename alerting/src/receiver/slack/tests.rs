use super::super::PlainTexts;
use super::super::tests::{message, notification, over, slow};
use super::*;

fn token() -> SlackConfig {
    SlackConfig {
        app_token: Some(Secret::new("xoxb-hush")),
        app_url: Some("https://slack.com/api/chat.postMessage".to_string()),
        channel: Some("#ops".to_string()),
        ..SlackConfig::default()
    }
}

fn sent(message: &HttpMessage) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

#[test]
fn one_message_lives_from_firing_to_amended() {
    let firing = notification("slack", vec![slow("1")]);
    let first = build(&message(&firing), &token(), None, &PlainTexts);
    assert_eq!(first.url.as_ref().unwrap().reveal(), "https://slack.com/api/chat.postMessage");
    assert_eq!((&sent(&first)["channel"], &sent(&first)["ts"]), (&json!("#ops"), &Value::Null));
    assert!(!format!("{first:?}").contains("xoxb"));
    let reply = posted(br#"{"ok":true,"channel":"C123","ts":"1503435956.000247"}"#).unwrap();
    let resolved = notification("slack", vec![over(slow("1"))]);
    let second = build(&message(&resolved), &token(), Some(&reply), &PlainTexts);
    assert_eq!(second.url.as_ref().unwrap().reveal(), "https://slack.com/api/chat.update");
    let body = sent(&second);
    assert_eq!((&body["channel"], &body["ts"]), (&json!("C123"), &json!("1503435956.000247")));
    assert!(body["text"].as_str().unwrap().starts_with("[RESOLVED] Slow"));
    let mut late = over(slow("1"));
    late.detail.amendment = Some("would not have fired".to_string());
    let amended = notification("slack", vec![late]);
    let third = build(&message(&amended), &token(), Some(&reply), &PlainTexts);
    assert!(sent(&third).to_string().contains("Amended: would not have fired"));
    assert_ne!(second.idempotency_key, third.idempotency_key);
    assert_eq!(posted(br#"{"ok":false,"error":"channel_not_found"}"#), Err("channel_not_found".to_string()));
    assert!(posted(b"<html>").is_err());
}

#[test]
fn a_webhook_takes_the_configured_address_and_text_is_escaped() {
    let firing = notification("slack", vec![slow("1")]);
    let config = SlackConfig { api_url: Some(Secret::new("https://hooks.slack.com/x")), ..SlackConfig::default() };
    let built = build(&message(&firing), &config, None, &PlainTexts);
    assert_eq!(built.url.as_ref().unwrap().reveal(), "https://hooks.slack.com/x");
    let text = sent(&built).to_string();
    assert!(text.contains("p95 of &lt;ups&gt; &amp; co is high") && text.contains("usually 0.4"), "{text}");
    assert!(text.contains("<http://runbooks/slow|runbook>"));
}

#[test]
fn slacks_limits_are_kept() {
    let alerts = (0..200).map(|i| {
        let mut alert = slow(&i.to_string());
        alert.annotations.0.insert("summary".to_string(), "ü".repeat(5000));
        alert
    });
    let told = notification("slack", alerts.collect());
    let built = build(&message(&told), &token(), None, &PlainTexts);
    let body = sent(&built);
    let blocks = body["attachments"][0]["blocks"].as_array().unwrap();
    assert_eq!(blocks.len(), BLOCKS_MAX);
    let longest = |kind: &str| {
        let texts =
            blocks.iter().filter(|block| block["type"] == kind).filter_map(|block| block["text"]["text"].as_str());
        texts.map(|text| text.chars().count()).max().unwrap()
    };
    assert!(longest("section") <= SECTION_MAX && longest("header") <= HEADER_MAX);
    assert!(body.to_string().contains("and 154 more") || built.remarks[0].contains("beyond"), "{:?}", built.remarks);
}

#[test]
fn a_template_that_fails_loses_no_message() {
    let firing = notification("slack", vec![slow("1")]);
    let config = SlackConfig { title: Some("{{ .Broken".to_string()), ..token() };
    let built = build(&message(&firing), &config, None, &PlainTexts);
    assert!(sent(&built)["text"].as_str().unwrap().contains("[FIRING:1] Slow"));
    assert!(built.remarks[0].contains("built-in text used"), "{:?}", built.remarks);
}
