//! Rules and how they are written.
//!
//! A rule file is Prometheus', held to what promtool holds it to, by Prometheus 3's rules (names may be any
//! UTF-8 unless [`Names::Classic`] is asked for). What Prometheus cannot say lives in one map, `tidewatch`, within an alerting
//! rule, so that a plain rule stays plain and one key is all that other tools must be spared:
//! [`load::without_extensions`] writes the file that `promtool check rules` accepts (Prometheus 3's promtool also
//! takes the file itself with `--ignore-unknown-fields`).
//!
//! ```yaml
//! - alert: LateShipments
//!   expr: late_share{channel="shop"}
//!   for: 10m
//!   tidewatch:
//!     on_incomplete: hold          # wait | hold | unknown; see state::Incomplete
//!     runbook: https://runbooks.example/late
//!     thresholds:
//!       fire: above                # above | at_least | below | at_most
//!       default: 0.04              # for whoever is not in the table: never nothing
//!       resolve: 0.03              # hysteresis: what fires stays until it is at or beyond this
//!       table:                     # the first that matches
//!         - match: '{seller="s-17"}'
//!           value: 0.10
//!           resolve: 0.08
//! ```
//!
//! An expression that compares with a constant, such as `late_share > 0.04`, takes `resolve_below: 0.03` (with
//! `<` and `<=`: `resolve_above`) instead of `thresholds`.

pub mod group;
mod level;
pub mod load;
mod locate;
mod raw;
pub mod schedule;
pub mod selected;

use std::sync::Arc;

use tidewatch_promql::Query;

use crate::state::Incomplete;
use crate::template::alert::AlertTemplate;

pub use level::{Crossing, Level, Threshold, Thresholds, Verdict, split, verdict};
pub use load::{LoadError, LoadErrors, LoadOptions, Names, RuleFile, load};

/// Rules that are evaluated one after another at the same times.
#[derive(Debug, Clone)]
pub struct Group {
    /// Name, once per file.
    pub name: Arc<str>,
    /// File it was read from, as it was named to the loader.
    pub file: Arc<str>,
    /// Between two evaluations, in milliseconds; `None` for the server's default.
    pub interval_ms: Option<i64>,
    /// Most alerts or series that a rule may give; 0 for no limit.
    pub limit: usize,
    /// How far before the time of evaluation the data is looked at, in milliseconds; `None` for the server's
    /// default.
    pub query_offset_ms: Option<i64>,
    /// The rules in order; labels of the group are already among theirs.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Writes a series.
    Recording(Arc<RecordingRule>),
    /// Raises alerts.
    Alerting(Arc<AlertingRule>),
}

impl Rule {
    /// The series' or alert's name.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Rule::Recording(rule) => &rule.name,
            Rule::Alerting(rule) => &rule.name,
        }
    }

    /// The expression.
    pub fn query(&self) -> &Query {
        match self {
            Rule::Recording(rule) => &rule.query,
            Rule::Alerting(rule) => &rule.query,
        }
    }
}

/// A rule that writes a series.
#[derive(Debug, Clone)]
pub struct RecordingRule {
    /// Name of the series.
    pub name: Arc<str>,
    /// What is written.
    pub query: Query,
    /// Labels that are set on each series.
    pub labels: Vec<(String, String)>,
}

/// A rule that raises alerts.
#[derive(Debug, Clone)]
pub struct AlertingRule {
    /// The label `alertname`.
    pub name: Arc<str>,
    /// Each series of its answer is an alert, unless there is a [`Level`] that says which.
    pub query: Query,
    /// How long it must hold before it fires, in milliseconds.
    pub for_ms: i64,
    /// How long it fires on after it no longer holds, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// Labels by name.
    pub labels: Vec<(String, AlertTemplate)>,
    /// Annotations by name.
    pub annotations: Vec<(String, AlertTemplate)>,
    /// Thresholds of our own: the comparison is made here and not in PromQL.
    pub level: Option<Level>,
    /// What a window that is not complete may do.
    pub on_incomplete: Incomplete,
    /// Where to read what to do.
    pub runbook: Option<String>,
    /// Hash of what makes a sample this alert: its name and its expression, formatted, so that blanks and
    /// comments do not count. See [`crate::state`].
    pub meaning: u64,
}

#[cfg(test)]
mod tests;
