//! How often things happen, so that all events together come at the rate asked for.

use crate::api_calls::ATTEMPTS_PER_CALL;
use crate::orders::EVENTS_PER_ORDER;
use crate::population::Population;
use crate::series::{Pulse, natural_rate};
use crate::webhooks::EVENTS_PER_WEBHOOK;

/// What probes may take of all events, at most: with fewer, they look less often.
const PROBE_SHARE_MAX: f64 = 0.2;
/// What the synchronisation of shops may take.
const SYNC_SHARE_MAX: f64 = 0.25;

/// Shares of the other events by what they tell of.
const ORDER_SHARE: f64 = 0.64;
const API_CALL_SHARE: f64 = 0.31;
const WEBHOOK_SHARE: f64 = 0.03;
const ADJUSTMENT_SHARE: f64 = 0.01;
const CHANGE_SHARE: f64 = 0.01;

/// Events of an average adjustment of stock, with its run and what it sets off.
const EVENTS_PER_ADJUSTMENT: f64 = 2.0;

/// Beginnings per second of an average hour, and how much slower than usual periodic things are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub orders: f64,
    pub api_calls: f64,
    pub webhooks: f64,
    pub adjustments: f64,
    /// Changes of rules and features.
    pub changes: f64,
    pub probe_stretch: f64,
    pub sync_stretch: f64,
}

impl Rates {
    pub fn new(events_per_second: f64, population: &Population) -> Self {
        let probes = natural_rate(population, Pulse::Probe);
        let syncs = natural_rate(population, Pulse::Sync);
        let probe_stretch = (probes / (PROBE_SHARE_MAX * events_per_second)).max(1.0);
        let sync_stretch = (syncs / (SYNC_SHARE_MAX * events_per_second)).max(1.0);
        let rest = events_per_second - probes / probe_stretch - syncs / sync_stretch;
        Self {
            orders: rest * ORDER_SHARE / EVENTS_PER_ORDER,
            api_calls: rest * API_CALL_SHARE / ATTEMPTS_PER_CALL,
            webhooks: rest * WEBHOOK_SHARE / EVENTS_PER_WEBHOOK,
            adjustments: rest * ADJUSTMENT_SHARE / EVENTS_PER_ADJUSTMENT,
            changes: rest * CHANGE_SHARE,
            probe_stretch,
            sync_stretch,
        }
    }
}
