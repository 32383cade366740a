//! Alerting: rules, states, templates, tests of rules, backtests.
//!
//! ```text
//! rule files ─▶ groups ─▶ samples ─▶ states + transitions ─▶ alerts to send
//!               rules     Source     state                   state::send
//!                                       └─▶ ledger (why) ─▶ amendments
//! ```
//!
//! Pure: samples, time and files come in as arguments; nothing here reads a clock, a socket or a file.
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

pub mod backtest;
pub mod hash;
pub mod ledger;
pub mod memory;
pub mod rules;
pub mod state;
pub mod template;
pub mod unit_tests;
