use super::super::PlainTexts;
use super::super::tests::{message, notification, over, slow};
use super::*;
use crate::config::integrations::{SlackAction, SlackConfirm};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn token() -> SlackConfig {
    SlackConfig {
        app_token: Some(Secret::new("xoxb-hush")),
        app_url: Some("https://slack.com/api/chat.postMessage".to_string()),
        channel: Some("#ops".to_string()),
        ..SlackConfig::default()
    }
}

/// Python with Slack's own client; missing, the test is skipped, or fails under `CI=true`.
fn python() -> Option<PathBuf> {
    let cache = std::env::var("XDG_CACHE_HOME")
        .map_or_else(|_| PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    let usual = cache.join("tidewatch/venv/bin/python");
    let python = std::env::var("TIDEWATCH_PYTHON").map_or(usual, PathBuf::from);
    let imports = Command::new(&python).args(["-c", "import slack_sdk"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let missing = "Python with slack-sdk is missing: run tests/truth/venv.sh, or set TIDEWATCH_PYTHON";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}, and CI=true");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {missing}");
    None
}

/// What the validators of Slack's client say of bodies.
fn judged(python: &Path, bodies: &[Value]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/slack_blocks.py");
    let pipes = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = Command::new(python).arg(script).stdin(pipes.0).stdout(pipes.1).stderr(pipes.2).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    bodies.iter().for_each(|body| writeln!(input, "{body}").unwrap());
    drop(input);
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_validators_of_slacks_own_client_accept_what_is_sent() {
    let Some(python) = python() else { return };
    let action = |text: String, url: Option<String>| SlackAction { text: Some(text), url, ..SlackAction::default() };
    let mut with_buttons = token();
    with_buttons.pretext = Some("pretext".to_string());
    with_buttons.actions = (0..30).map(|at| action("ü".repeat(at * 10 + 1), Some(format!("https://x/{at}")))).collect();
    with_buttons.actions[3] = SlackAction {
        name: Some("silence".into()),
        value: Some("1h".into()),
        style: Some("danger".into()),
        ..action("Hush".into(), None)
    };
    with_buttons.actions[4].confirm = Some(SlackConfirm {
        text: Some("ü".repeat(1000)),
        title: Some("?".repeat(1000)),
        ok_text: Some("yes".repeat(100)),
        dismiss_text: Some(String::new()),
    });
    with_buttons.actions[5].confirm = Some(SlackConfirm { text: Some("Really?".into()), ..SlackConfirm::default() });
    let mut late = over(slow("1"));
    late.detail.amendment = Some("would not have fired".to_string());
    let many = (0..200).map(|at| {
        let mut alert = slow(&at.to_string());
        alert.annotations.0.insert("summary".to_string(), "<&>".repeat(3000));
        alert
    });
    let reply = Posted { channel: "C1".to_string(), ts: "1.2".to_string() };
    let body = |alerts, config: &SlackConfig, posted| {
        let told = notification("slack", alerts);
        sent(&build(&message(&told), config, posted, &PlainTexts))
    };
    let bodies = [
        body(vec![slow("1")], &token(), None),
        body(vec![slow("1"), over(slow("2"))], &with_buttons, None),
        body(vec![over(slow("1"))], &token(), Some(&reply)),
        body(vec![late], &with_buttons, Some(&reply)),
        body(many.collect(), &with_buttons, None),
    ];
    assert_eq!(judged(&python, &bodies).trim(), "accepted");
    let mut wrong = bodies[0].clone();
    wrong["attachments"][0]["blocks"][0]["text"]["text"] = "x".repeat(HEADER_MAX + 1).into();
    assert!(judged(&python, &[wrong]).contains("cannot exceed 150"), "they do look");
    let mut wrong = bodies[1].clone();
    let blocks = wrong["attachments"][0]["blocks"].as_array_mut().unwrap();
    let actions = blocks.iter_mut().find(|block| block["type"] == "actions").unwrap();
    actions["elements"][4]["confirm"]["deny"]["text"] = "n".repeat(ANSWER_MAX + 1).into();
    assert!(judged(&python, &[wrong]).contains("deny attribute cannot exceed 30"), "at questions, too");
}

#[test]
fn a_button_asks_first_where_the_configuration_says_so() {
    let confirm = SlackConfirm {
        text: Some("Restart all of it?".to_string()),
        title: Some("{{ .Broken".to_string()),
        ok_text: Some("Restart".to_string()),
        ..SlackConfirm::default()
    };
    let action = |text: &str, confirm: Option<SlackConfirm>| SlackAction {
        text: Some(text.to_string()),
        url: Some("https://x/".to_string()),
        confirm,
        ..SlackAction::default()
    };
    let config = SlackConfig { actions: vec![action("Restart", Some(confirm)), action("Open", None)], ..token() };
    let built = build(&message(&notification("slack", vec![slow("1")])), &config, None, &PlainTexts);
    let body = sent(&built);
    let blocks = body["attachments"][0]["blocks"].as_array().unwrap();
    let buttons = &blocks.iter().find(|block| block["type"] == "actions").unwrap()["elements"];
    let plain = |text: &str| json!({ "type": "plain_text", "text": text });
    let asked = json!({
        "title": plain("Are you sure?"),
        "text": plain("Restart all of it?"),
        "confirm": plain("Restart"),
        "deny": plain("Cancel"),
    });
    assert_eq!(buttons[0]["confirm"], asked);
    assert!(buttons[1].get("confirm").is_none(), "{buttons}");
    assert!(built.remarks[0].contains("built-in text used"), "{:?}", built.remarks);
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
