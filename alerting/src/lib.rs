//! Alerting that explains itself: from samples to alerts, and from alerts to the messages about them.
//!
//! ```text
//! rule files ─▶ groups ─▶ samples ─▶ states + transitions ─▶ alerts
//!               rules     Source     state                   state::send
//!                                       └─▶ ledger (why) ─▶ amendments
//! alert ─▶ routes ─▶ groups ─▶ inhibit ─▶ mute times ─▶ silence ─▶ flapping ─▶ preference ─▶ wait ─▶ dedup ─▶ record ─▶ message
//!          route     group     inhibit    mute          silence    escalation          notification_log   receiver
//! ```
//!
//! Pure: no clock, socket or file. Samples, files and `now` come in as arguments, and every machine is a value
//! that can be written down and read back, so that a restart goes on where it was. Semantics are those of
//! Prometheus and Alertmanager wherever they have any.
//!
//! | to understand | read |
//! |---|---|
//! | what a rule file may hold, and where our own keys live | [`rules`] |
//! | when an alert is pending, firing, resolved, held | [`state`] |
//! | why a decision was taken, and what late data changes about it | [`ledger`] |
//! | how a group is evaluated, and when | [`rules::group`], [`rules::schedule`] |
//! | what `{{ … }}` may say | [`template`] |
//! | promtool's tests of rules | [`unit_tests`] |
//! | what a rule would have done | [`backtest`] |
//! | the configuration of routes and receivers | [`config`] |
//! | labels, matchers, the route tree, the whole machine, "why was I not paged" | [`route`] |
//! | groups and their timers, the store of alerts | [`group`] |
//! | silences, inhibition, mute times | [`silence`], [`inhibit`], [`mute`] |
//! | which label values moved an alert, and against what | [`contributions`] |
//! | what was told to whom | [`notification_log`] |
//! | escalation, flapping, digests, preferences | [`escalation`] |
//! | the messages | [`receiver`] |
//! | Alertmanager's HTTP API as functions | [`api_v2`] |

pub mod api_v2;
pub mod backtest;
pub mod config;
pub mod contributions;
pub mod escalation;
pub mod group;
pub mod hash;
pub mod inhibit;
pub mod ledger;
pub mod memory;
pub mod mute;
pub mod notification_log;
pub mod receiver;
pub mod route;
pub mod rules;
pub mod silence;
pub mod state;
pub mod template;
pub mod unit_tests;

#[cfg(test)]
mod test_support;
