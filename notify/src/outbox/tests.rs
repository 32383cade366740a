use super::*;
use crate::attempt::{Attempt, Decision, Outcome, Recipients, Reply};
use crate::message::{HttpMessage, HttpReply, Outgoing, Payload, Reference};
use crate::retry::{GiveUpReason, Hold, Next};
use prometheus::Registry;
use std::path::Path;

fn open_with(folder: &Path, settings: OutboxSettings) -> Outbox {
    let metrics = NotifyMetrics::register(&Registry::new()).unwrap();
    Outbox::open(folder, settings, metrics).unwrap()
}

fn open(folder: &Path) -> Outbox {
    open_with(folder, OutboxSettings::default())
}

fn message(key: &str) -> Outgoing {
    Outgoing {
        key: key.to_owned(),
        order_key: "group".to_owned(),
        integration: "slack".to_owned(),
        created_ms: 1_000,
        give_up_ms: 9_000,
        payload: Payload::Http(HttpMessage::post_json(None, "{}", HttpReply::slack_api())),
    }
}

fn messages(keys: impl IntoIterator<Item = u32>) -> Vec<Outgoing> {
    keys.into_iter().map(|key| message(&format!("k-{key}"))).collect()
}

fn progress(seq: u64, attempt: u32, started_ms: i64, next: Next) -> Progress {
    let (outcome, decision) = match next {
        Next::Delivered => (Outcome::Delivered, Decision::Delivered),
        Next::RetryAt { at_ms, .. } => (Outcome::Unavailable, Decision::RetryAt(at_ms)),
        Next::GiveUp(reason) => (Outcome::Refused, Decision::GaveUp(reason)),
    };
    let attempt = Attempt {
        number: 0,
        key: String::new(),
        order_key: "group".to_owned(),
        integration: "slack".to_owned(),
        attempt,
        started_ms,
        duration_ms: 0,
        target: "https://hooks.example/#00000000".to_owned(),
        outcome,
        code: Some(200),
        detail: "ok".to_owned(),
        decision,
    };
    let recipients = Recipients::default();
    Progress { seq, attempt, misconfigured: 0, next, reply: None, stands_in_for: None, recipients }
}

fn again(at_ms: i64) -> Next {
    Next::RetryAt { at_ms, hold: Hold::Backoff }
}

fn seqs(outbox: &Outbox) -> Vec<u64> {
    outbox.take_intake().iter().map(|intake| intake.entry.seq).collect()
}

#[test]
fn what_was_enqueued_is_there_after_a_restart_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    assert_eq!(outbox.enqueue(&messages(0..3)).unwrap(), Enqueued { new: 3, known: 0 });
    outbox.enqueue(&messages([3])).unwrap();
    let before: Vec<_> = outbox.take_intake().into_iter().map(|intake| intake.entry).collect();
    drop(outbox);
    let outbox = open(folder.path());
    assert_eq!(outbox.waiting(), 4);
    let after: Vec<_> = outbox.take_intake().into_iter().map(|intake| intake.entry).collect();
    assert_eq!(before, after);
    assert_eq!(outbox.message("k-2").unwrap(), Some(message("k-2")));
}

#[test]
fn the_same_key_is_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    assert_eq!(outbox.enqueue(&messages([1, 2, 1])).unwrap(), Enqueued { new: 2, known: 1 });
    assert_eq!(outbox.enqueue(&messages([2, 3])).unwrap(), Enqueued { new: 1, known: 1 });
    drop(outbox);
    let outbox = open(folder.path());
    assert_eq!(outbox.enqueue(&messages([1, 2, 3])).unwrap(), Enqueued { new: 0, known: 3 });
    let seqs = seqs(&outbox);
    outbox.record(&[progress(seqs[0], 1, 2_000, Next::Delivered)]).unwrap();
    assert_eq!(outbox.enqueue(&messages([1])).unwrap(), Enqueued { new: 0, known: 1 }, "delivered, and still known");
    assert_eq!(outbox.metrics().duplicates.get(), 4);
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open_with(folder.path(), OutboxSettings { messages_max: 4, ..OutboxSettings::default() });
    outbox.enqueue(&messages(0..3)).unwrap();
    let refused = outbox.enqueue(&messages(3..5)).unwrap_err();
    assert!(matches!(refused, OutboxError::Full { waiting: 3, more: 2, messages_max: 4, .. }), "{refused}");
    let mut batch = messages(3..4);
    batch.push(Outgoing { key: String::new(), ..message("x") });
    assert!(matches!(outbox.enqueue(&batch).unwrap_err(), OutboxError::Message(_)));
    assert_eq!(outbox.explain("k-3").unwrap(), None);
    assert_eq!(outbox.waiting(), 3);
    // Known ones take no room.
    assert_eq!(outbox.enqueue(&messages(0..4)).unwrap(), Enqueued { new: 1, known: 3 });
    assert_eq!(outbox.metrics().refused.with_label_values(&["full"]).get(), 2);
    assert_eq!(outbox.metrics().refused.with_label_values(&["invalid"]).get(), 2);
    // What is delivered makes room.
    let seqs = seqs(&outbox);
    outbox.record(&[progress(seqs[0], 1, 2_000, Next::Delivered)]).unwrap();
    outbox.enqueue(&messages([9])).unwrap();
}

#[test]
fn bytes_are_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let settings = OutboxSettings { bytes_max: 3_000, message_bytes_max: 2_000, ..OutboxSettings::default() };
    let outbox = open_with(folder.path(), settings);
    let sized = |key: &str, bytes: usize| {
        let body = format!("\"{}\"", "x".repeat(bytes));
        Outgoing { payload: Payload::Http(HttpMessage::post_json(None, body, HttpReply::plain())), ..message(key) }
    };
    assert!(matches!(outbox.enqueue(&[sized("a", 2_000)]), Err(OutboxError::TooBig { max: 2_000, .. })));
    outbox.enqueue(&[sized("b", 1_500)]).unwrap();
    assert!(matches!(outbox.enqueue(&[sized("c", 1_500)]), Err(OutboxError::Full { bytes_max: 3_000, .. })));
    // The same after a restart.
    let settings = outbox.settings().clone();
    drop(outbox);
    let outbox = open_with(folder.path(), settings);
    assert!(matches!(outbox.enqueue(&[sized("c", 1_500)]), Err(OutboxError::Full { .. })));
}

#[test]
fn a_message_that_was_on_its_way_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    outbox.enqueue(&messages(0..2)).unwrap();
    let first = seqs(&outbox)[0];
    let started = outbox.start(&[first, 77], 5_000).unwrap();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].1.message, message("k-0"));
    assert_eq!(outbox.explain("k-0").unwrap().unwrap().phase, Phase::InFlight { since_ms: 5_000 });
    drop(outbox);
    let outbox = open(folder.path());
    let in_flight: Vec<_> = outbox.take_intake().into_iter().map(|intake| intake.in_flight_ms).collect();
    assert_eq!(in_flight, [Some(5_000), None]);
}

#[test]
fn every_attempt_can_be_read_back_by_message_and_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    outbox.enqueue(&messages(0..2)).unwrap();
    let seqs = seqs(&outbox);
    outbox.record(&[progress(seqs[0], 1, 2_000, again(3_000)), progress(seqs[1], 1, 2_000, Next::Delivered)]).unwrap();
    let refused = Next::GiveUp(GiveUpReason::Refused);
    let attempts = outbox.record(&[progress(seqs[0], 2, 3_000, refused)]).unwrap();
    assert_eq!((attempts[0].number, attempts[0].key.as_str()), (3, "k-0"));
    drop(outbox);
    let outbox = open(folder.path());
    let explained = outbox.explain("k-0").unwrap().unwrap();
    assert_eq!(explained.phase, Phase::GivenUp { at_ms: 3_000, reason: GiveUpReason::Refused });
    let tries: Vec<_> = explained.tries.iter().map(|t| (t.number, t.attempt, t.decision)).collect();
    let gave_up = Decision::GaveUp(GiveUpReason::Refused);
    assert_eq!(tries, [(1, 1, Decision::RetryAt(3_000)), (3, 2, gave_up)]);
    assert_eq!(outbox.explain("k-1").unwrap().unwrap().phase, Phase::Delivered { at_ms: 2_000 });
    let keys = |after| outbox.attempts_after(after, 10).unwrap().into_iter().map(|a| a.key).collect::<Vec<_>>();
    assert_eq!(keys(0), ["k-0", "k-1", "k-0"]);
    assert_eq!(keys(2), ["k-0"]);
    assert_eq!(outbox.attempts_after(0, 2).unwrap().len(), 2);
    // What was given up is kept, what was delivered is not.
    assert!(outbox.message("k-0").unwrap().is_some() && outbox.message("k-1").unwrap().is_none());
    assert_eq!(outbox.undelivered(10).unwrap(), [("k-0".to_owned(), explained.phase)]);
    assert_eq!(outbox.waiting(), 0);
}

#[test]
fn of_very_many_attempts_the_first_and_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open_with(folder.path(), OutboxSettings { attempts_max: 15, ..OutboxSettings::default() });
    outbox.enqueue(&messages([0])).unwrap();
    let seq = seqs(&outbox)[0];
    for attempt in 1..=40 {
        outbox.record(&[progress(seq, attempt, 2_000, again(3_000))]).unwrap();
    }
    let explained = outbox.explain("k-0").unwrap().unwrap();
    let kept: Vec<u32> = explained.tries.iter().map(|t| t.attempt).collect();
    assert_eq!(kept, (1..=10).chain(36..=40).collect::<Vec<_>>());
    assert_eq!(explained.attempts, 40);
}

#[test]
fn finished_messages_are_forgotten_after_their_retention_and_their_numbers_not_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = OutboxSettings { retention: Duration::from_secs(10), ..OutboxSettings::default() };
    let outbox = open_with(folder.path(), settings.clone());
    outbox.enqueue(&messages(0..3)).unwrap();
    let seqs = seqs(&outbox);
    outbox.record(&[progress(seqs[0], 1, 2_000, Next::Delivered)]).unwrap();
    outbox.record(&[progress(seqs[1], 1, 4_000, Next::GiveUp(GiveUpReason::Refused))]).unwrap();
    assert_eq!(outbox.sweep(11_999).unwrap(), 0);
    assert_eq!(outbox.sweep(12_000).unwrap(), 1);
    assert_eq!(outbox.explain("k-0").unwrap(), None);
    assert!(outbox.explain("k-1").unwrap().is_some());
    assert_eq!(outbox.sweep(14_000).unwrap(), 1);
    assert_eq!(outbox.attempts_after(0, 10).unwrap(), []);
    assert_eq!(outbox.sweep(i64::MAX).unwrap(), 0, "what waits is never forgotten");
    drop(outbox);
    let outbox = open_with(folder.path(), settings);
    assert_eq!(outbox.enqueue(&messages(0..3)).unwrap(), Enqueued { new: 2, known: 1 });
    let after = outbox.take_intake();
    assert!(after.iter().skip(1).all(|intake| intake.entry.seq > seqs[2]), "{after:?}");
    let attempts = outbox.record(&[progress(seqs[2], 1, 20_000, again(30_000))]).unwrap();
    assert_eq!(attempts[0].number, 3);
}

#[test]
fn finished_messages_are_bounded_by_number_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = OutboxSettings { finished_max: 2, finished_bytes_max: 1, ..OutboxSettings::default() };
    let outbox = open_with(folder.path(), settings);
    outbox.enqueue(&messages(0..5)).unwrap();
    let seqs = seqs(&outbox);
    for (i, seq) in seqs.iter().enumerate() {
        outbox.record(&[progress(*seq, 1, 2_000 + i64::try_from(i).unwrap(), Next::Delivered)]).unwrap();
    }
    assert_eq!(outbox.sweep(2_010).unwrap(), 3);
    assert!(outbox.explain("k-2").unwrap().is_none() && outbox.explain("k-3").unwrap().is_some());
    outbox.enqueue(&messages([9])).unwrap();
    let seq = outbox.take_intake()[0].entry.seq;
    outbox.record(&[progress(seq, 1, 1_999, Next::GiveUp(GiveUpReason::TooOld))]).unwrap();
    assert_eq!(outbox.sweep(2_010).unwrap(), 1, "the bytes of what was given up");
    assert_eq!(outbox.metrics().forgotten.get(), 4);
}

#[test]
fn replies_are_kept_as_long_as_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let settings = OutboxSettings { reply_retention: Duration::from_secs(10), ..OutboxSettings::default() };
    let outbox = open_with(folder.path(), settings.clone());
    let http = HttpMessage::post_json(None, "{}", HttpReply::slack_api());
    let edit = http.clone().referring(Reference::slack_edit("k-0", http));
    outbox.enqueue(&messages([0])).unwrap();
    outbox.enqueue(&[Outgoing { payload: Payload::Http(edit), ..message("edit") }]).unwrap();
    let seqs = seqs(&outbox);
    let reply = Reply(BTreeMap::from([("ts".to_owned(), "1.2".to_owned())]));
    let replied = Progress { reply: Some(reply.clone()), ..progress(seqs[0], 1, 2_000, Next::Delivered) };
    outbox.record(&[replied]).unwrap();
    let started = outbox.start(&[seqs[1]], 8_000).unwrap();
    assert_eq!(started[0].1.referred, Some(reply.clone()));
    assert_eq!(outbox.sweep(17_999).unwrap(), 0, "referred to at 8 000");
    drop(outbox);
    let outbox = open_with(folder.path(), settings);
    assert_eq!(outbox.reply("k-0").unwrap(), Some(reply.clone()));
    // One that stands in for another gives its reply to both.
    let other = Reply(BTreeMap::from([("ts".to_owned(), "3.4".to_owned())]));
    let stood_in = progress(seqs[1], 1, 9_000, Next::Delivered);
    outbox.record(&[Progress { reply: Some(other.clone()), stands_in_for: Some("k-0".into()), ..stood_in }]).unwrap();
    assert_eq!(outbox.reply("k-0").unwrap(), Some(other.clone()));
    assert_eq!(outbox.reply("edit").unwrap(), Some(other));
    assert_eq!(outbox.sweep(19_000).unwrap(), 2);
    assert_eq!(outbox.reply("k-0").unwrap(), None);
}

#[test]
fn a_second_process_or_worker_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = open(folder.path());
    let metrics = NotifyMetrics::register(&Registry::new()).unwrap();
    let second = Outbox::open(folder.path(), OutboxSettings::default(), metrics).unwrap_err();
    assert!(matches!(second, OutboxError::Store { .. }), "{second}");
    outbox.claim().unwrap();
    assert!(matches!(outbox.claim(), Err(OutboxError::Claimed)));
    outbox.unclaim();
    outbox.claim().unwrap();
}

#[test]
fn rows_of_another_version_are_refused_with_a_hint() {
    let error = rows::decode::<State>("states", &[2, b'{', b'}']).unwrap_err().to_string();
    assert!(error.contains("version 1, found version 2"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_folder_is_the_owners() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/outbox");
    drop(open(&inner));
    let mode = std::fs::metadata(&inner).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
