//! What machines do by themselves, the rules that say so, and what is left for people.

mod action;
mod change;
mod report;
mod rule;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use action::{Action, close_action, open_action};
pub(crate) use change::{change_something, declare_rules};
pub(crate) use report::report_day;
pub(crate) use rule::{Features, Rule, Rules};
pub(crate) use run::{Work, run_rule};

use crate::event::{AUTOMATION_TOPIC, EventKind};

const fn kind(event_type: &'static str) -> EventKind {
    EventKind { topic: AUTOMATION_TOPIC, event_type, source: "/creatorflow/automation-engine" }
}
