//! Counters of amendments.

use super::judge::Verdict;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Why something of the past was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It lies further back than `age_max_ms`.
    Old,
    /// More than `stretches_max` waited.
    Stretches,
    /// More than `instants_max` evaluations in one go.
    Instants,
    /// An alert fired for longer than `block_ms`.
    Long,
    /// More than `rows_max` rows of the ledger since then.
    Ledger,
    /// It failed again and again.
    Failing,
    /// A message of more alerts than are kept for its correction.
    Message,
    /// A rule that reads what has no past.
    Present,
}

impl Skipped {
    fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Stretches => "stretches",
            Self::Instants => "instants",
            Self::Long => "long",
            Self::Ledger => "ledger",
            Self::Failing => "failing",
            Self::Message => "message",
            Self::Present => "present",
        }
    }
}

/// See the names.
#[derive(Debug, Clone)]
pub struct AmendMetrics {
    amendments: IntCounterVec,
    skipped: IntCounterVec,
    /// Times that looking at a rule's past failed.
    pub failures: IntCounter,
    /// Messages that were put into the outbox to correct others.
    pub edits: IntCounter,
    /// Stretches that wait.
    pub waiting: IntGauge,
}

impl AmendMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// Some name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let vec = |name: &str, help: &str, label: &str| -> Result<IntCounterVec, prometheus::Error> {
            let vec = IntCounterVec::new(Opts::new(format!("tidewatch_alerting_{name}"), help), &[label])?;
            registry.register(Box::new(vec.clone()))?;
            Ok(vec)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::new(format!("tidewatch_alerting_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let waiting = IntGauge::new("tidewatch_alerting_amend_waiting", "Late stretches that wait to be looked at.")?;
        registry.register(Box::new(waiting.clone()))?;
        Ok(Self {
            amendments: vec("amendments_total", "Verdicts of the past that late events changed.", "change")?,
            skipped: vec(
                "amend_skipped_total",
                "Parts of the past that were not looked at again, at a bound.",
                "reason",
            )?,
            failures: counter("amend_failures_total", "Times that looking at a rule's past failed.")?,
            edits: counter("amend_edits_total", "Corrections of messages handed to the outbox.")?,
            waiting,
        })
    }

    /// Counts a verdict.
    pub fn amended(&self, verdict: Verdict) {
        let change = match verdict {
            Verdict::Stands => "stands",
            Verdict::WouldNotHaveFired => "would_not_have_fired",
            Verdict::WouldHaveFiredAt { .. } => "would_have_fired_at",
            Verdict::ShouldHaveFired => "should_have_fired",
            Verdict::RightlySilent => "rightly_silent",
        };
        self.amendments.with_label_values(&[change]).inc();
    }

    /// Counts what was not looked at.
    pub fn skip(&self, reason: Skipped) {
        self.skipped.with_label_values(&[reason.as_str()]).inc();
    }

    /// How often that was counted.
    #[cfg(test)]
    pub fn skipped(&self, reason: Skipped) -> u64 {
        self.skipped.with_label_values(&[reason.as_str()]).get()
    }
}
