//! What receivers do to us, one thing at a time.

use crate::support::{Act, Running, Sink, message, ms, quick, start};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidewatch_notify::http::{Authorization, HttpSettings, Proxy};
use tidewatch_notify::*;

const LONG: Duration = Duration::from_secs(60);

/// Sends one message to the sink; gives what was written down of it.
async fn one(sink: &Sink, change: impl FnOnce(&mut IntegrationSettings, &mut Outgoing)) -> Vec<Attempt> {
    let mut settings = quick(&sink.url());
    let mut message = message("k-1", "group", "hook", "{}");
    change(&mut settings, &mut message);
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("hook", settings)]);
    running.outbox.enqueue(&[message]).unwrap();
    running.until_empty(LONG).await;
    running.finish().await.1
}

fn outcomes(attempts: &[Attempt]) -> Vec<Outcome> {
    attempts.iter().map(|attempt| attempt.outcome).collect()
}

/// Does `act` the first time and is well afterwards.
async fn once(act: Act) -> Sink {
    let first = AtomicUsize::new(0);
    Sink::start(move |_| if first.fetch_add(1, Ordering::SeqCst) == 0 { act.clone() } else { Act::ok() }).await
}

#[tokio::test]
async fn what_breaks_is_tried_again_with_the_same_key_and_body() {
    let acts = [Act::Reset, Act::TakeAndReset, Act::Truncate, Act::Silence, Act::status(500), Act::status(408)];
    for act in acts {
        let sink = once(act.clone()).await;
        let attempts = one(&sink, |_, _| ()).await;
        assert_eq!(outcomes(&attempts), [Outcome::Unavailable, Outcome::Delivered], "{act:?}: {attempts:?}");
        let received = sink.received();
        assert_eq!(received.len(), 2, "{act:?}");
        assert_eq!((received[0].key(), &received[0].body), (received[1].key(), &received[1].body));
        if matches!(act, Act::Silence) {
            let took = attempts[0].duration_ms;
            assert!((400..5_000).contains(&took), "a connection that says nothing ends with the timeout: {took} ms");
        }
    }
}

#[tokio::test]
async fn retry_after_is_kept() {
    let sink = once(Act::Answer(429, vec!["Retry-After: 1".to_owned()], String::new())).await;
    let attempts = one(&sink, |_, _| ()).await;
    assert_eq!(outcomes(&attempts), [Outcome::Throttled, Outcome::Delivered]);
    let wait_ms = attempts[1].started_ms - attempts[0].started_ms;
    assert!((1_000..8_000).contains(&wait_ms), "{wait_ms} ms, not the 200 ms of our own longest wait");
}

#[tokio::test]
async fn what_will_never_be_taken_is_given_up_with_the_receivers_words() {
    let invalid = r#"{"error":"invalid_payload","path":"/hook/secret-path"}"#;
    let sink = Sink::start(move |_| Act::Answer(400, Vec::new(), invalid.to_owned())).await;
    let attempts = one(&sink, |_, _| ()).await;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].decision, Decision::GaveUp(GiveUpReason::Refused));
    assert_eq!((attempts[0].code, attempts[0].detail.as_str()), (Some(400), "invalid_payload"));
}

#[tokio::test]
async fn nothing_that_is_kept_or_shown_has_a_secret_in_it() {
    let sink = Sink::start(|request| {
        let said: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Act::Answer(403, Vec::new(), format!("{} {}", request.line, said.join(" ")))
    })
    .await;
    let attempts = one(&sink, |settings, message| {
        settings.http.authorization = Some(Authorization::Bearer(Secret::new("bearer-token")));
        settings.http.headers.push(("X-Api-Key".to_owned(), Secret::new("key-of-settings")));
        let Payload::Http(http) = &mut message.payload else { unreachable!() };
        http.headers.push(("X-Other-Key".to_owned(), Secret::new("key-of-message")));
        let shown = format!("{settings:?} {message:?}");
        for secret in ["secret-path", "bearer-token", "key-of-settings", "key-of-message"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    })
    .await;
    let received = &sink.received()[0];
    assert_eq!(received.line, "POST /hook/secret-path HTTP/1.1");
    assert_eq!(received.header("authorization"), Some("Bearer bearer-token"));
    assert_eq!(received.header("x-api-key"), Some("key-of-settings"));
    assert_eq!(received.header("content-type"), Some("application/json; charset=utf-8"));
    let shown = format!("{attempts:?}");
    for secret in ["secret-path", "bearer-token", "key-of-settings", "key-of-message"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(attempts[0].target.starts_with("http://127.0.0.1:"), "{shown}");
}

#[tokio::test]
async fn basic_authorization() {
    let sink = Sink::start(|_| Act::ok()).await;
    let (user, password) = ("Aladdin".to_owned(), Secret::new("open sesame"));
    one(&sink, |settings, _| settings.http.authorization = Some(Authorization::Basic { user, password })).await;
    // The example of RFC 7617.
    assert_eq!(sink.received()[0].header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[tokio::test]
async fn redirects_stay_within_the_origin_and_keep_the_request() {
    let elsewhere = Sink::start(|_| Act::ok()).await;
    let to = elsewhere.url();
    for status in [301, 302, 303, 307, 308] {
        let to = to.clone();
        let sink = Sink::start(move |_| Act::Answer(status, vec![format!("Location: {to}")], String::new())).await;
        let attempts = one(&sink, |settings, _| settings.delivery.misconfigured_tries_max = 2).await;
        assert_eq!(outcomes(&attempts), [Outcome::Misconfigured; 2], "{status}");
        assert_eq!(attempts[1].decision, Decision::GaveUp(GiveUpReason::Misconfigured));
    }
    assert!(elsewhere.received().is_empty(), "another origin gets nothing");

    let sink = Sink::start(|request| match request.line.contains("/moved") {
        true => Act::ok(),
        false => Act::Answer(308, vec!["Location: /moved".to_owned()], String::new()),
    })
    .await;
    assert_eq!(outcomes(&one(&sink, |_, _| ()).await), [Outcome::Delivered]);
    let received = sink.received();
    assert_eq!((received[1].line.as_str(), received[1].body.as_str()), ("POST /moved HTTP/1.1", "{}"));
    assert_eq!(received[1].key(), "k-1");
}

#[tokio::test]
async fn an_endless_answer_is_not_read_to_its_end() {
    let body = "x".repeat(4 << 20);
    let sink = Sink::start(move |_| Act::Answer(200, Vec::new(), body.clone())).await;
    let attempts = one(&sink, |settings, _| settings.http.reply_bytes_max = 1_000).await;
    assert_eq!(outcomes(&attempts), [Outcome::Delivered]);
    assert!(attempts[0].detail.len() < 1_000);
}

#[tokio::test]
async fn a_proxy_is_used_only_if_it_is_set() {
    let proxy = Sink::start(|_| Act::ok()).await;
    let sink = Sink::start(|_| Act::ok()).await;
    let through = SecretUrl::parse(&format!("http://127.0.0.1:{}", proxy.port)).unwrap();
    one(&sink, |settings, _| settings.http.proxy = Proxy::Url(through)).await;
    assert_eq!((proxy.received().len(), sink.received().len()), (1, 0));
    assert!(proxy.received()[0].line.starts_with(&format!("POST http://127.0.0.1:{}/hook", sink.port)));
    one(&sink, |_, _| ()).await;
    assert_eq!((proxy.received().len(), sink.received().len()), (1, 1));
}

#[tokio::test]
async fn an_integration_without_settings_or_url_is_given_up_after_a_few_tries() {
    let sink = Sink::start(|_| Act::ok()).await;
    let attempts = one(&sink, |settings, _| settings.http = HttpSettings::default()).await;
    assert_eq!(outcomes(&attempts), [Outcome::Misconfigured; 5]);
    assert!(attempts[0].detail.contains("http.url"), "{attempts:?}");
}

/// Down for a while: nobody listens. With the waits of these tests (a second is ten milliseconds) the two and a
/// half seconds stand for four minutes.
#[tokio::test]
async fn a_receiver_that_is_down_is_probed_and_then_gets_everything_in_order() {
    let port = Sink::start(|_| Act::ok()).await.port;
    let healthy = Sink::start(|_| Act::ok()).await;
    let url = format!("http://127.0.0.1:{port}/hook");
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("down", quick(&url)), ("up", quick(&healthy.url()))]);
    let to = |integration: &str| {
        let batch = (0..200).map(|n| {
            let group = format!("{integration} {}", n % 20);
            message(&format!("{integration}-{n}"), &group, integration, &format!("{n}"))
        });
        running.outbox.enqueue(&batch.collect::<Vec<_>>()).unwrap();
    };
    to("down");
    to("up");
    tokio::time::sleep(ms(2_500)).await;
    assert_eq!(healthy.received().len(), 200, "others go on");
    assert_eq!(running.outbox.waiting(), 200);
    let while_down = attempts_of(&running, "down");
    // 5 failures open it, those on their way end (16 at most at a time); then one probe per 20 to 200 ms.
    assert!((6..100).contains(&while_down), "{while_down} attempts at a receiver that is down");
    let metrics = running.outbox.metrics();
    assert_eq!(metrics.circuit_open.with_label_values(&["down"]).get(), 1);
    assert_eq!(metrics.circuit_open.with_label_values(&["up"]).get(), 0);
    assert_eq!(metrics.waiting.with_label_values(&["down"]).get(), 200);
    assert!(metrics.oldest.get() > 0);

    let back = Sink::on(port, |_| Act::ok()).await;
    running.until_empty(LONG).await;
    let bodies: Vec<usize> = back.received().iter().map(|r| r.body.parse().unwrap()).collect();
    assert_eq!(bodies.len(), 200);
    for group in 0..20 {
        let of_group: Vec<_> = bodies.iter().filter(|n| *n % 20 == group).collect();
        assert!(of_group.is_sorted(), "{of_group:?}");
    }
    let outbox = running.stop().await;
    assert_eq!(outbox.metrics().circuit_open.with_label_values(&["down"]).get(), 0);
    assert_eq!(outbox.metrics().oldest.get(), 0);
}

fn attempts_of(running: &Running, integration: &str) -> usize {
    running.attempts().iter().filter(|attempt| attempt.integration == integration).count()
}

#[tokio::test]
async fn no_more_than_allowed_are_on_their_way_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (current, highest) = (now.clone(), most.clone());
    let sink = Sink::start(move |_| {
        highest.fetch_max(current.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let current = current.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ms(15)).await;
            current.fetch_sub(1, Ordering::SeqCst);
        });
        Act::Slow(ms(20), 200)
    })
    .await;
    let mut settings = quick(&sink.url());
    settings.delivery.concurrency_max = 3;
    let folder = tempfile::tempdir().unwrap();
    let running = start(folder.path(), &[("hook", settings)]);
    let batch: Vec<_> = (0..60).map(|n| message(&format!("k-{n}"), &format!("g {n}"), "hook", "{}")).collect();
    running.outbox.enqueue(&batch).unwrap();
    running.until_empty(LONG).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn stopping_lets_what_is_on_its_way_end_and_keeps_the_rest() {
    let sink = Sink::start(|_| Act::Slow(ms(150), 200)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = quick(&sink.url());
    settings.delivery.concurrency_max = 2;
    let running = start(folder.path(), &[("hook", settings.clone())]);
    let batch: Vec<_> = (0..6).map(|n| message(&format!("k-{n}"), &format!("g {n}"), "hook", "{}")).collect();
    running.outbox.enqueue(&batch).unwrap();
    while sink.received().is_empty() {
        tokio::time::sleep(ms(5)).await;
    }
    let outbox = running.stop().await;
    let sent = sink.received().len();
    assert_eq!(outbox.waiting(), 6 - sent);
    assert!(outbox.undelivered(10).unwrap().iter().all(|(_, phase)| matches!(phase, Phase::Waiting { .. })));
    drop(outbox);
    let running = start(folder.path(), &[("hook", settings)]);
    running.until_empty(LONG).await;
    assert_eq!(sink.received().len(), 6, "none twice");
}
