use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() }
}

fn outcome(reply: &HttpReply, status: u16, body: &str) -> Outcome {
    judge(reply, &answer(status, body), 0).outcome
}

#[test]
fn plain_answers_by_status() {
    for (status, expected) in [
        (200, Outcome::Delivered),
        (204, Outcome::Delivered),
        (301, Outcome::Misconfigured),
        (400, Outcome::Refused),
        (401, Outcome::Refused),
        (404, Outcome::Refused),
        (408, Outcome::Unavailable),
        (409, Outcome::Deferred),
        (410, Outcome::Refused),
        (413, Outcome::Refused),
        (425, Outcome::Deferred),
        (429, Outcome::Throttled),
        (500, Outcome::Unavailable),
        (501, Outcome::Misconfigured),
        (503, Outcome::Unavailable),
        (599, Outcome::Unavailable),
    ] {
        assert_eq!(outcome(&HttpReply::plain(), status, "x"), expected, "{status}");
    }
}

#[test]
fn retry_after_counts_where_another_try_makes_sense() {
    let asked = |status| Answer { retry_after: Some("7".to_owned()), ..answer(status, "") };
    for status in [429, 503, 409] {
        assert_eq!(judge(&HttpReply::plain(), &asked(status), 1_000).retry_at_ms, Some(8_000), "{status}");
    }
    for status in [200, 400, 301] {
        assert_eq!(judge(&HttpReply::plain(), &asked(status), 1_000).retry_at_ms, None, "{status}");
    }
}

/// Answers as Slack's documentation shows them.
#[test]
fn slack_says_no_with_status_200() {
    let slack = HttpReply::slack_api();
    let body = r#"{"ok":true,"channel":"C123ABC456","ts":"1503435956.000247","message":{"text":"x"}}"#;
    let report = judge(&slack, &answer(200, body), 0);
    assert_eq!(report.outcome, Outcome::Delivered);
    let kept = report.reply.unwrap().0;
    assert_eq!(
        kept,
        BTreeMap::from([("channel", "C123ABC456"), ("ts", "1503435956.000247")].map(|(k, v)| (k.into(), v.into())))
    );
    for (error, expected) in [
        ("channel_not_found", Outcome::Refused),
        ("is_archived", Outcome::Refused),
        ("msg_too_long", Outcome::Refused),
        ("ratelimited", Outcome::Throttled),
        ("internal_error", Outcome::Unavailable),
        ("invalid_auth", Outcome::Misconfigured),
        ("something_new", Outcome::Refused),
    ] {
        let report = judge(&slack, &answer(200, &format!(r#"{{"ok":false,"error":"{error}"}}"#)), 0);
        assert_eq!((report.outcome, report.detail.as_str()), (expected, error));
        assert_eq!(report.reply, None);
    }
    assert_eq!(outcome(&slack, 200, "<html>log in to the Wi-Fi</html>"), Outcome::Unavailable);
    assert_eq!(outcome(&slack, 429, ""), Outcome::Throttled);
}

#[test]
fn slack_says_that_a_message_is_gone() {
    let gone = |status, body| is_gone(&judge(&HttpReply::slack_api(), &answer(status, body), 0));
    assert!(gone(200, r#"{"ok":false,"error":"message_not_found"}"#));
    assert!(gone(200, r#"{"ok":false,"error":"edit_window_closed"}"#));
    assert!(!gone(200, r#"{"ok":false,"error":"msg_too_long"}"#));
    assert!(!gone(200, r#"{"ok":true}"#));
}

/// Answers as PagerDuty's documentation shows them.
#[test]
fn pager_duty() {
    let pager_duty = HttpReply::pager_duty();
    let body = r#"{"status":"success","message":"Event processed","dedup_key":"srv01/HTTP"}"#;
    let report = judge(&pager_duty, &answer(202, body), 0);
    assert_eq!(report.outcome, Outcome::Delivered);
    assert_eq!(report.reply.unwrap().0["dedup_key"], "srv01/HTTP");
    let body = r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload' is missing"]}"#;
    let report = judge(&pager_duty, &answer(400, body), 0);
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(report.detail, "Event object is invalid: 'payload' is missing");
    assert_eq!(outcome(&pager_duty, 429, ""), Outcome::Throttled);
    assert_eq!(outcome(&pager_duty, 500, ""), Outcome::Unavailable);
    assert_eq!(outcome(&pager_duty, 200, "<html>"), Outcome::Misconfigured);
}

#[test]
fn replies_that_are_kept_are_bounded() {
    let reply = HttpReply { judge: Judge::Status, keep: vec!["a".into(), "b".into(), "c".into(), "n".into()] };
    let body = format!(r#"{{"a":"{}","b":{{}},"n":7}}"#, "x".repeat(513));
    let kept = judge(&reply, &answer(200, &body), 0).reply.unwrap().0;
    assert_eq!(kept, BTreeMap::from([("n".to_owned(), "7".to_owned())]));
}

#[test]
fn fields_of_a_reply_go_into_the_body() {
    let fields = [FieldOfReply { reply: "ts".into(), body: "thread_ts".into() }];
    let reply = Reply(BTreeMap::from([("ts".to_owned(), "1.2".to_owned())]));
    assert_eq!(refer(r#"{"text":"x"}"#, &fields, &reply).unwrap(), r#"{"text":"x","thread_ts":"1.2"}"#);
    assert_eq!(refer(r#"{"text":"x"}"#, &fields, &Reply::default()), None);
}
