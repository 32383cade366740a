//! From a report to what is written down and what follows: pure.

use crate::attempt::{Attempt, Decision, Outcome, Recipients, Report};
use crate::outbox::Progress;
use crate::retry::{DeliverySettings, Entry, Finished, GiveUpReason, Next, Situation, next};

/// Circumstances of an attempt.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it began.
    pub started_ms: i64,
    /// How long it took.
    pub duration_ms: u64,
    /// When it is looked at.
    pub now_ms: i64,
    /// Of the random wait.
    pub seed: u64,
    /// The message it refers to.
    pub refers_to: Option<String>,
}

/// What follows from a report: for the outbox and for the lanes.
pub fn settle(
    mut entry: Entry,
    probe: bool,
    report: Report,
    sent: Sent,
    settings: &DeliverySettings,
) -> (Progress, Finished) {
    entry.attempts = entry.attempts.saturating_add(1);
    entry.misconfigured += u32::from(report.outcome == Outcome::Misconfigured);
    let situation = Situation {
        now_ms: sent.now_ms,
        attempts: entry.attempts,
        misconfigured: entry.misconfigured,
        give_up_ms: entry.give_up_ms,
        retry_at_ms: report.retry_at_ms,
        seed: sent.seed,
    };
    let next = next(settings, report.outcome, &situation);
    let progress = Progress {
        seq: entry.seq,
        attempt: Attempt {
            started_ms: sent.started_ms,
            duration_ms: sent.duration_ms,
            target: report.target,
            outcome: report.outcome,
            code: report.code,
            detail: report.detail,
            ..attempt(&entry, next)
        },
        misconfigured: entry.misconfigured,
        next,
        reply: report.reply,
        stands_in_for: sent.refers_to.filter(|_| report.stood_in),
        recipients: report.recipients,
    };
    let finished = Finished { entry, probe, outcome: report.outcome, retry_at_ms: report.retry_at_ms, next };
    (progress, finished)
}

/// A message that was too old before it could be sent.
pub(super) fn not_sent(entry: &Entry, now_ms: i64) -> Progress {
    let next = Next::GiveUp(GiveUpReason::TooOld);
    let detail = match entry.attempts {
        0 => "too old before it could be sent",
        _ => "too old before it could be sent again",
    };
    bare(entry, next, (now_ms, 0), Outcome::NotSent, detail)
}

/// A message that was on its way when the last process ended: sent again at once, with the same key.
pub(super) fn interrupted(entry: &mut Entry, since_ms: i64, now_ms: i64) -> Progress {
    entry.attempts = entry.attempts.saturating_add(1);
    entry.due_ms = now_ms;
    let duration_ms = u64::try_from(now_ms - since_ms).unwrap_or(0);
    let detail = "the process ended while it was on its way";
    bare(entry, Progress::again_at(now_ms), (since_ms, duration_ms), Outcome::Unknown, detail)
}

fn bare(entry: &Entry, next: Next, (started_ms, duration_ms): (i64, u64), outcome: Outcome, detail: &str) -> Progress {
    let detail = detail.to_owned();
    Progress {
        seq: entry.seq,
        attempt: Attempt { started_ms, duration_ms, outcome, detail, ..attempt(entry, next) },
        misconfigured: entry.misconfigured,
        next,
        reply: None,
        stands_in_for: None,
        recipients: Recipients::default(),
    }
}

fn attempt(entry: &Entry, next: Next) -> Attempt {
    Attempt {
        number: 0,
        key: String::new(),
        order_key: entry.order_key.to_string(),
        integration: entry.integration.to_string(),
        attempt: entry.attempts,
        started_ms: 0,
        duration_ms: 0,
        target: String::new(),
        outcome: Outcome::NotSent,
        code: None,
        detail: String::new(),
        decision: match next {
            Next::Delivered => Decision::Delivered,
            Next::RetryAt { at_ms, .. } => Decision::RetryAt(at_ms),
            Next::GiveUp(reason) => Decision::GaveUp(reason),
        },
    }
}
