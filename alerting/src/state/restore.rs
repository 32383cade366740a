//! What a stop does to alerts that were pending.
//!
//! What fired fires on: nothing is known to have ended. A pending alert was not watched during the stop, so it is
//! treated as Prometheus does, with the same defaults.

use super::{Phase, RuleState};

/// Prometheus' `--rules.alert.for-outage-tolerance` and `--rules.alert.for-grace-period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreOptions {
    /// After a longer stop a pending alert begins anew, in milliseconds.
    pub outage_tolerance_ms: i64,
    /// What a pending alert waits at least before it fires, in milliseconds.
    pub grace_ms: i64,
}

impl Default for RestoreOptions {
    fn default() -> RestoreOptions {
        RestoreOptions { outage_tolerance_ms: 3_600_000, grace_ms: 600_000 }
    }
}

/// The state of a rule as it goes on at `now_ms`, when its last evaluation was at `stopped_ms`. A gap of at most
/// `interval_ms` is none.
pub fn resume(
    state: &RuleState,
    for_ms: i64,
    stopped_ms: i64,
    now_ms: i64,
    interval_ms: i64,
    options: RestoreOptions,
) -> RuleState {
    let down_ms = now_ms.saturating_sub(stopped_ms);
    let mut state = state.clone();
    if down_ms <= interval_ms {
        return state;
    }
    let pending = |phase: Phase| phase == Phase::Pending;
    if down_ms > options.outage_tolerance_ms || for_ms < options.grace_ms {
        state.instances.retain(|_, instance| !pending(instance.life.phase));
        return state;
    }
    for instance in state.instances.values_mut().filter(|instance| pending(instance.life.phase)) {
        let life = &mut instance.life;
        let remaining_ms = for_ms.saturating_sub(stopped_ms.saturating_sub(life.active_at_ms));
        life.active_at_ms = if remaining_ms < options.grace_ms {
            now_ms.saturating_add(options.grace_ms).saturating_sub(for_ms)
        } else {
            life.active_at_ms.saturating_add(down_ms)
        };
    }
    state
}

/// Forgets what was sent, so that the next evaluation sends what fires and what was resolved of late: nobody knows
/// whether the last process has still delivered it.
pub fn send_again(state: &mut RuleState) {
    state.instances.values_mut().for_each(|instance| instance.last_sent_at_ms = None);
}
