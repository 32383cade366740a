//! Why each decision was taken, and what late data changes about it afterwards.

mod amend;

use serde::{Deserialize, Serialize};
use tidewatch_promql::{Labels, duration, number};

use crate::state::{Completeness, Phase, RuleName};

pub(crate) use amend::compare as changes;
pub use amend::{Amendment, Change, amend};

/// Why an alert went on, began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The condition holds, for the first time.
    Began,
    /// It holds, but not yet for as long as `for` asks.
    HoldsNotYetForLongEnough,
    /// It has held for as long as `for` asks.
    HeldForLongEnough,
    /// It holds.
    Holds,
    /// It no longer holds, but the value has not come back to the resolving threshold.
    Hysteresis,
    /// It no longer holds, but `keep_firing_for` is not over.
    KeepsFiring,
    /// It no longer holds, and `keep_firing_for` is over.
    KeptFiringForLongEnough,
    /// It no longer holds.
    Ended,
    /// The window is not complete, so nothing ends.
    Incomplete,
    /// The window is not complete, so nothing is decided.
    Waiting,
    /// The rule now means something else.
    RuleChanged,
    /// The rule had more alerts than its group allows.
    LimitExceeded,
    /// It has ended and is remembered for a while.
    Remembered,
    /// It has ended a while ago.
    Forgotten,
}

/// One decision about one alert. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time_ms: i64,
    /// By which rule.
    pub rule: RuleName,
    /// The alert's fingerprint, 16 hexadecimal digits.
    pub fingerprint: String,
    /// The alert's labels.
    #[serde(with = "crate::state::label_map")]
    pub labels: Labels,
    /// Where it stood; `None`: there was no such alert.
    pub from: Option<Phase>,
    /// Where it stands; `None`: there is no such alert.
    pub to: Option<Phase>,
    /// Why.
    pub reason: Reason,
    /// The value that was looked at, or the last one known.
    #[serde(with = "crate::state::float_text")]
    pub value: f64,
    /// What it was compared with, where the rule has thresholds of its own.
    #[serde(with = "crate::state::optional_float_text")]
    pub threshold: Option<f64>,
    /// What was known about the data.
    pub completeness: Completeness,
    /// Since when the condition has held.
    pub active_at_ms: i64,
    /// The rule's `for` at that time, in milliseconds.
    pub for_ms: i64,
    /// The rule's `keep_firing_for` at that time, in milliseconds.
    pub keep_firing_for_ms: i64,
}

impl Entry {
    /// Whether the alert went from one phase to another.
    pub fn is_transition(&self) -> bool {
        self.from != self.to
    }

    /// A sentence for people: when, which alert, what happened and why.
    pub fn explain(&self) -> String {
        let phase = |phase: Option<Phase>| phase.map_or("inactive", Phase::as_str);
        let what = if self.is_transition() {
            format!("{} → {}", phase(self.from), phase(self.to))
        } else {
            format!("stays {}", phase(self.to))
        };
        let time = tidewatch_promql::calendar::rfc3339(self.time_ms);
        let mut text = format!("{time} {} {}: {what}, because {}", self.rule.rule, self.labels, self.why());
        text.push_str(&format!("; value {}", number::general(self.value)));
        if let Some(threshold) = self.threshold {
            text.push_str(&format!(", threshold {}", number::general(threshold)));
        }
        match self.completeness {
            Completeness::Complete => {}
            Completeness::Partial => text.push_str(", window not complete"),
            Completeness::Unknown => text.push_str(", completeness unknown"),
        }
        text
    }

    fn why(&self) -> String {
        let held = duration::format(self.time_ms.saturating_sub(self.active_at_ms));
        let wanted = duration::format(self.for_ms);
        let keep = duration::format(self.keep_firing_for_ms);
        match self.reason {
            Reason::Began if self.for_ms > 0 => format!("the condition began to hold (for: {wanted})"),
            Reason::Began => "the condition began to hold".to_string(),
            Reason::HoldsNotYetForLongEnough => format!("the condition has held for {held} of {wanted}"),
            Reason::HeldForLongEnough if self.for_ms == 0 => {
                "the condition holds, and the rule has no `for`".to_string()
            }
            Reason::HeldForLongEnough => format!("the condition has held for {held} (for: {wanted})"),
            Reason::Holds => "the condition holds".to_string(),
            Reason::Hysteresis => "the value has not come back to the resolving threshold".to_string(),
            Reason::KeepsFiring => format!("keep_firing_for ({keep}) is not over"),
            Reason::KeptFiringForLongEnough => {
                format!("the condition no longer holds and keep_firing_for ({keep}) is over")
            }
            Reason::Ended => "the condition no longer holds".to_string(),
            Reason::Incomplete => "a window that is not complete resolves nothing".to_string(),
            Reason::Waiting => "the rule waits for the window to be complete".to_string(),
            Reason::RuleChanged => "the rule was changed and means something else".to_string(),
            Reason::LimitExceeded => "the rule had more alerts than its group's limit".to_string(),
            Reason::Remembered => "it has ended and is remembered for 15m".to_string(),
            Reason::Forgotten => "it has ended more than 15m ago".to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
