use super::super::PlainTexts;
use super::super::tests::{message, notification, over, slow};
use super::*;
use crate::config::{Flag, integrations::Threading};

fn config() -> EmailConfig {
    EmailConfig {
        to: Some("ops@example.org".to_string()),
        from: Some("t@example.org".to_string()),
        ..EmailConfig::default()
    }
}

fn mail(alerts: Vec<Alert>, config: &EmailConfig) -> Mail {
    build(&message(&notification("email", alerts)), config, "tidewatch.example.org", &PlainTexts)
}

#[test]
fn mails_of_a_group_form_a_thread() {
    let (first, second) = (mail(vec![slow("1")], &config()), mail(vec![over(slow("1"))], &config()));
    assert_ne!(first.headers["Message-ID"], second.headers["Message-ID"]);
    assert_eq!(first.headers["References"], second.headers["References"]);
    assert_eq!(first.headers["In-Reply-To"], first.headers["References"]);
    assert_eq!(first.headers, mail(vec![slow("1")], &config()).headers, "sent twice it is one mail");
    let off = EmailConfig { threading: Some(Threading::default()), ..config() };
    assert!(!mail(vec![slow("1")], &off).headers.contains_key("References"));
    let daily = Threading { enabled: Flag(true), thread_by_date: Some("daily".to_string()) };
    let daily = EmailConfig { threading: Some(daily), ..config() };
    assert_ne!(mail(vec![slow("1")], &daily).headers["References"], first.headers["References"]);
}

#[test]
fn both_bodies_say_it_and_nothing_gets_through() {
    let mut bad = slow("1");
    bad.labels.0.insert("host".to_string(), "<script>\r\nBcc: x@y".to_string());
    bad.generator_url = "javascript:alert(1)".to_string();
    let mut headers = config();
    headers.headers.insert("Subject".to_string(), "one\r\nBcc: x@y".to_string());
    headers.headers.insert("From".to_string(), "liar@example.org".to_string());
    let built = mail(vec![bad], &headers);
    assert!(
        built.html.contains("&lt;script&gt;")
            && !built.html.contains("<script>")
            && !built.html.contains("javascript:")
    );
    assert!(
        built.text.contains("6.25 (usually 0.4, threshold 5)")
            && built.html.contains("6.25 (usually 0.4, threshold 5)")
    );
    assert_eq!(built.subject, "one Bcc: x@y");
    assert!(built.headers.values().all(|value| !value.contains(['\r', '\n'])) && !built.headers.contains_key("From"));
    assert_eq!((built.from.as_str(), built.to.as_str()), ("t@example.org", "ops@example.org"));
}

#[test]
fn long_groups_are_counted() {
    let built = mail((0..600).map(|i| slow(&i.to_string())).collect(), &config());
    assert!(built.text.contains("… and 100 more") && built.html.contains("… and 100 more") && built.remarks.len() == 1);
}
