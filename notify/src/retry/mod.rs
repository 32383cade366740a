//! What to do after an attempt, when, and which message is next: pure decisions.
//!
//! | question | file |
//! |---|---|
//! | again, or not any more? | [`next`] |
//! | how long to wait? | `backoff` |
//! | what does `Retry-After` say? | `retry_after` |
//! | is the receiver there at all? | `circuit` |
//! | which messages may be sent now? | `lanes` |

mod backoff;
mod circuit;
mod lanes;
mod retry_after;

pub use backoff::Backoff;
pub use circuit::{Admit, Circuit, CircuitChange};
pub use lanes::{Due, Entry, Finished, Lanes};
pub use retry_after::parse_retry_after;

use crate::attempt::Outcome;
use crate::clock::millis;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How an integration's messages are delivered: how many at once, how often, and when it is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverySettings {
    /// Messages that may be on their way at the same time.
    pub concurrency_max: usize,
    /// Shortest wait before a message is sent again.
    #[serde(with = "humantime_serde")]
    pub backoff_min: Duration,
    /// Longest wait before a message is sent again, unless the receiver asks for more.
    #[serde(with = "humantime_serde")]
    pub backoff_max: Duration,
    /// Longest wait that a receiver may ask for with `Retry-After`; more is taken for this.
    #[serde(with = "humantime_serde")]
    pub retry_after_max: Duration,
    /// Tries after which a message is given up whose integration is misconfigured (TLS, redirects, log-in).
    pub misconfigured_tries_max: u32,
    /// Failures of the receiver in a row after which it is taken to be down.
    pub failures_max: u32,
    /// Shortest wait before a receiver that is down is tried with one message.
    #[serde(with = "humantime_serde")]
    pub probe_min: Duration,
    /// Longest such wait.
    #[serde(with = "humantime_serde")]
    pub probe_max: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            concurrency_max: 8,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(300),
            retry_after_max: Duration::from_secs(3600),
            misconfigured_tries_max: 5,
            failures_max: 5,
            probe_min: Duration::from_secs(5),
            probe_max: Duration::from_secs(60),
        }
    }
}

/// What is known of a message when an attempt has ended.
#[derive(Debug, Clone, Copy)]
pub struct Situation {
    /// The time, milliseconds since the epoch.
    pub now_ms: i64,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// Those of them that ended in [`Outcome::Misconfigured`].
    pub misconfigured: u32,
    /// From here on (inclusive) it is not sent any more.
    pub give_up_ms: i64,
    /// Earliest next try that the receiver asked for.
    pub retry_at_ms: Option<i64>,
    /// Decides the jitter: different for every message and attempt.
    pub seed: u64,
}

/// What to do after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it is delivered.
    Delivered,
    /// Send it again, not before `at_ms`.
    RetryAt {
        /// Milliseconds since the epoch.
        at_ms: i64,
        /// Who set that time.
        hold: Hold,
    },
    /// Send it no more.
    GiveUp(GiveUpReason),
}

/// Who decided that a message has to wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// We: it may go earlier once the receiver is known to be back.
    #[default]
    Backoff,
    /// The receiver, by `Retry-After`: it must not go earlier.
    Receiver,
}

/// Why a message was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GiveUpReason {
    /// The receiver will never take it.
    Refused,
    /// The integration's settings did not work, try after try.
    Misconfigured,
    /// It was not delivered before it was too old, or the receiver wants it later than that.
    TooOld,
}

impl GiveUpReason {
    /// As a label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
            Self::TooOld => "too_old",
        }
    }
}

/// Decides what to do after an attempt.
///
/// Waits are exponential with full jitter: uniform between `backoff_min` and the smaller of `backoff_max` and
/// `backoff_min · 2^attempts` (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). A wait that
/// the receiver asked for is kept (up to `retry_after_max`), with up to `backoff_min` on top so that not all
/// messages return at one instant. A wait of ours that ends too late ends just in time for one last try.
pub fn next(settings: &DeliverySettings, outcome: Outcome, situation: &Situation) -> Next {
    let Situation { now_ms, attempts, misconfigured, give_up_ms, retry_at_ms, seed } = *situation;
    match outcome {
        Outcome::Delivered => return Next::Delivered,
        Outcome::Refused => return Next::GiveUp(GiveUpReason::Refused),
        Outcome::Misconfigured if misconfigured >= settings.misconfigured_tries_max => {
            return Next::GiveUp(GiveUpReason::Misconfigured);
        }
        Outcome::NotSent => return Next::GiveUp(GiveUpReason::TooOld),
        Outcome::Unknown | Outcome::Misconfigured => {}
        Outcome::Throttled | Outcome::Deferred | Outcome::Unavailable => {}
    }
    if now_ms >= give_up_ms {
        return Next::GiveUp(GiveUpReason::TooOld);
    }
    // Whether the receiver had it is not known, and waiting does not tell.
    if outcome == Outcome::Unknown {
        return Next::RetryAt { at_ms: now_ms, hold: Hold::Backoff };
    }
    let backoff = Backoff::of(settings.backoff_min, settings.backoff_max);
    if let Some(asked_ms) = retry_at_ms.filter(|asked| *asked > now_ms) {
        let capped_ms = asked_ms.min(now_ms.saturating_add(millis(settings.retry_after_max)));
        let at_ms = capped_ms.saturating_add(backoff.spread_ms(seed));
        if capped_ms >= give_up_ms {
            return Next::GiveUp(GiveUpReason::TooOld);
        }
        return Next::RetryAt { at_ms: at_ms.min(give_up_ms - 1), hold: Hold::Receiver };
    }
    let at_ms = now_ms.saturating_add(backoff.wait_ms(attempts, seed));
    Next::RetryAt { at_ms: at_ms.min(give_up_ms - 1).max(now_ms), hold: Hold::Backoff }
}

#[cfg(test)]
mod tests;
