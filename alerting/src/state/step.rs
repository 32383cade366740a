//! One alert, one instant: what becomes of it and why.

use serde::{Deserialize, Serialize};

use super::{Completeness, Incomplete, Instant, Phase, RESOLVED_RETENTION_MS};
use crate::ledger::Reason;
use crate::rules::Verdict;

/// What the rule says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// How long the condition must hold before the alert fires, in milliseconds.
    pub for_ms: i64,
    /// How long it fires on after the condition no longer holds, in milliseconds.
    pub keep_firing_for_ms: i64,
    /// What a window that is not complete may do.
    pub on_incomplete: Incomplete,
}

/// The life of an alert. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Where it stands.
    pub phase: Phase,
    /// First evaluation at which the condition held.
    pub active_at_ms: i64,
    /// Evaluation at which it began to fire.
    pub fired_at_ms: Option<i64>,
    /// First evaluation at which the condition no longer held while it kept firing.
    pub keep_firing_since_ms: Option<i64>,
    /// Evaluation at which it was resolved.
    pub resolved_at_ms: Option<i64>,
    /// Fires on although nobody knows whether the condition holds.
    pub is_unknown: bool,
}

impl Life {
    fn pending(now_ms: i64) -> Life {
        Life {
            phase: Phase::Pending,
            active_at_ms: now_ms,
            fired_at_ms: None,
            keep_firing_since_ms: None,
            resolved_at_ms: None,
            is_unknown: false,
        }
    }

    /// The same life on a clock that was set back: nothing in it has happened later than now.
    pub(super) fn set_back(self, now_ms: i64) -> Life {
        let past = |time_ms: i64| time_ms.min(now_ms);
        Life {
            active_at_ms: past(self.active_at_ms),
            fired_at_ms: self.fired_at_ms.map(past),
            keep_firing_since_ms: self.keep_firing_since_ms.map(past),
            resolved_at_ms: self.resolved_at_ms.map(past),
            ..self
        }
    }

    /// The same life, resolved.
    pub(super) fn resolved(self, now_ms: i64) -> Life {
        Life { phase: Phase::Resolved, resolved_at_ms: Some(now_ms), is_unknown: false, ..self }
    }
}

/// What becomes of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its life from now on; `None`: there is no such alert.
    pub life: Option<Life>,
    /// Why.
    pub reason: Reason,
}

/// What becomes of an alert at one instant. `previous` is `None` when there is no such alert.
pub fn step(previous: Option<Life>, verdict: Verdict, policy: &Policy, at: Instant) -> Step {
    let is_incomplete = at.completeness != Completeness::Complete;
    let active = previous.filter(|life| life.phase.is_active());
    if is_incomplete && policy.on_incomplete == Incomplete::Wait && (active.is_some() || verdict == Verdict::Holds) {
        return Step { life: previous, reason: Reason::Waiting };
    }
    match (active, verdict) {
        (_, Verdict::Holds) => holds(active, policy, at.now_ms),
        (Some(life), Verdict::Between) if life.phase == Phase::Firing => {
            let life = Life { keep_firing_since_ms: None, is_unknown: false, ..life };
            Step { life: Some(life), reason: Reason::Hysteresis }
        }
        (Some(life), _) if is_incomplete => {
            let is_unknown = policy.on_incomplete == Incomplete::Unknown && life.phase == Phase::Firing;
            Step { life: Some(Life { is_unknown, ..life }), reason: Reason::Incomplete }
        }
        (Some(life), _) if life.phase == Phase::Pending => Step { life: None, reason: Reason::Ended },
        (Some(life), _) => gone(life, policy, at.now_ms),
        (None, _) => remembered(previous, at.now_ms),
    }
}

fn holds(active: Option<Life>, policy: &Policy, now_ms: i64) -> Step {
    let begins = active.is_none();
    let mut life = active.unwrap_or_else(|| Life::pending(now_ms));
    (life.keep_firing_since_ms, life.is_unknown) = (None, false);
    if life.phase == Phase::Pending && now_ms.saturating_sub(life.active_at_ms) >= policy.for_ms {
        life.phase = Phase::Firing;
        life.fired_at_ms = Some(now_ms);
        return Step { life: Some(life), reason: Reason::HeldForLongEnough };
    }
    let reason = match life.phase {
        _ if begins => Reason::Began,
        Phase::Pending => Reason::HoldsNotYetForLongEnough,
        _ => Reason::Holds,
    };
    Step { life: Some(life), reason }
}

/// A firing alert whose condition no longer holds.
fn gone(life: Life, policy: &Policy, now_ms: i64) -> Step {
    if policy.keep_firing_for_ms > 0 {
        let since_ms = life.keep_firing_since_ms.unwrap_or(now_ms);
        let life = Life { keep_firing_since_ms: Some(since_ms), is_unknown: false, ..life };
        return if now_ms.saturating_sub(since_ms) < policy.keep_firing_for_ms {
            Step { life: Some(life), reason: Reason::KeepsFiring }
        } else {
            Step { life: Some(life.resolved(now_ms)), reason: Reason::KeptFiringForLongEnough }
        };
    }
    Step { life: Some(life.resolved(now_ms)), reason: Reason::Ended }
}

/// A resolved alert, or none.
fn remembered(previous: Option<Life>, now_ms: i64) -> Step {
    let is_old = |life: &Life| {
        life.resolved_at_ms.is_none_or(|resolved_ms| now_ms.saturating_sub(resolved_ms) > RESOLVED_RETENTION_MS)
    };
    match previous {
        Some(life) if is_old(&life) => Step { life: None, reason: Reason::Forgotten },
        other => Step { life: other, reason: Reason::Remembered },
    }
}
