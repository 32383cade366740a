//! Alerting that explains itself: from an alert to the messages about it.
//!
//! ```text
//! alert ─▶ routes ─▶ groups ─▶ inhibit ─▶ mute times ─▶ silence ─▶ flapping ─▶ wait ─▶ dedup ─▶ record ─▶ message
//!          route     group     inhibit    mute          silence    escalation          notification_log   receiver
//! ```
//!
//! Pure: no clock, socket or file. Every function takes `now`; every machine is a value that can be written down
//! and read back, so that a restart continues its timers. Semantics are Alertmanager's wherever it has any.
//!
//! | to understand | read |
//! |---|---|
//! | the configuration file | [`config`] |
//! | labels, matchers, the route tree, the whole machine, "why was I not paged" | [`route`] |
//! | groups and their timers, the store of alerts | [`group`] |
//! | silences, inhibition, mute times | [`silence`], [`inhibit`], [`mute`] |
//! | what was told to whom | [`notification_log`] |
//! | escalation, flapping, digests, preferences | [`escalation`] |
//! | the messages | [`receiver`] |
//! | Alertmanager's HTTP API as functions | [`api_v2`] |

pub mod api_v2;
pub mod config;
pub mod escalation;
pub mod group;
pub mod inhibit;
pub mod mute;
pub mod notification_log;
pub mod receiver;
pub mod route;
pub mod silence;

#[cfg(test)]
mod test_support;
