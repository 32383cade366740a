//! Runs what the crate `alerting` decides: rules on a clock and on data, alerts through routes to the outbox.
//!
//! ```text
//! data changes, clock ─▶ group tasks ─▶ rules ─▶ alerts ─▶ notifier ─▶ messages ─▶ outbox ─▶ receivers
//!                        evaluate       └▶ samples          tell        messages    (notify)
//!                             └────────── store: states, silences, ledger ──────────┘
//! ```
//!
//! * The state of every rule, alert, group and silence is in the [`store`] before anything follows from it, in one
//!   batch with the ledger's rows. What a kill interrupts is done again after the start, with the same keys, so that
//!   the outbox knows it.
//! * Where samples come from and go to is [`Data`]: this crate knows no tables.
//!
//! | to understand | read |
//! |---|---|
//! | when a group is evaluated | [`evaluate`] |
//! | how states begin and go on | `begin` |
//! | when an alert is explained, and by what bounds | `contributions` |
//! | which of several processes evaluates | `seat` |
//! | what is told when | `tell` |
//! | how a notification becomes a message | [`messages`], [`integrations`] |
//! | what is stored under which key | [`store`] |
//! | "why was I not paged" | [`explain`] |
//! | what late events change about the past | [`amend`] |
//! | what real Alertmanagers are told | [`forward`] |
//! | Alertmanager's API, rules, acknowledgements | `http` |

pub mod amend;
pub mod begin;
pub mod book;
#[cfg(test)]
mod compliance;
mod contributions;
pub mod data;
pub mod evaluate;
pub mod explain;
pub mod forward;
mod http;
pub mod integrations;
pub mod ledger;
pub mod messages;
mod metrics;
mod recent;
mod seat;
mod source;
pub mod store;
mod tell;
mod templates;
#[cfg(test)]
mod testing;

pub use amend::{AmendSettings, Late, LateStretch, NoLate};
pub use begin::{Ruler, RulerError, Running};
pub use data::{Changes, Data, NoChanges};
pub use forward::ForwardSettings;
pub use http::routes_without_rules;
pub use metrics::RulerMetrics;
pub use templates::{TemplateBook, matching};

use std::path::PathBuf;
use tidewatch_alerting::rules::group;
use tidewatch_alerting::state::restore::RestoreOptions;

/// What does not change while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RulerSettings {
    /// Folder of the store and the outbox.
    pub folder: PathBuf,
    /// What holds for all groups.
    pub groups: group::Settings,
    /// Data that changes does not wake a group more often than this, in milliseconds.
    pub react_min_ms: i64,
    /// An alert that has not changed is told to the notifier again after this time, in milliseconds.
    pub resend_delay_ms: i64,
    /// What a stop does to pending alerts.
    pub restore: RestoreOptions,
    /// A message that could not be delivered is given up after this time, in milliseconds.
    pub give_up_ms: i64,
    /// Rows of the ledger are kept so long, in milliseconds.
    pub ledger_retention_ms: i64,
    /// Most rows of the ledger; the oldest go first.
    pub ledger_rows_max: usize,
    /// Groups that are evaluated at the same time.
    pub concurrency_max: usize,
    /// How the past is looked at again when events come late.
    pub amend: AmendSettings,
    /// Which Alertmanagers are told of all alerts, besides our own routes.
    pub forward: ForwardSettings,
}

impl RulerSettings {
    /// The defaults, with the state in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        const DAY_MS: i64 = 86_400_000;
        Self {
            folder,
            groups: group::Settings::default(),
            react_min_ms: 1000,
            resend_delay_ms: tidewatch_alerting::state::send::RESEND_DELAY_MS,
            restore: RestoreOptions::default(),
            give_up_ms: 3_600_000,
            ledger_retention_ms: 90 * DAY_MS,
            ledger_rows_max: 1_000_000,
            concurrency_max: 4,
            amend: AmendSettings::default(),
            forward: ForwardSettings::default(),
        }
    }
}
