//! One per integration: a receiver that is down is probed with one message at a time, not hammered.

use super::{Backoff, DeliverySettings};
use crate::attempt::Outcome;

/// What is known of the receiver behind an integration.
#[derive(Debug, Clone, Default)]
pub struct Circuit {
    /// Failures in a row.
    failures: u32,
    open: Option<Open>,
    /// The receiver asked for silence until here.
    paused_until_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    /// No probe before.
    until_ms: i64,
    /// Probes that failed.
    probes: u32,
    /// One is on its way.
    probing: bool,
}

/// What may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// Anything that is due.
    Any,
    /// One message, to see whether the receiver is back.
    Probe,
    /// Nothing before this time.
    NotBefore(i64),
    /// Nothing until the probe that is on its way has ended.
    AfterProbe,
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitChange {
    /// Nothing.
    None,
    /// The receiver is taken to be down from now on.
    Opened,
    /// The receiver is back.
    Closed,
}

impl Circuit {
    /// True while the receiver is taken to be down.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What may be sent now.
    pub fn admit(&self, now_ms: i64) -> Admit {
        if now_ms < self.paused_until_ms {
            return Admit::NotBefore(self.paused_until_ms);
        }
        match self.open {
            None => Admit::Any,
            Some(open) if open.probing => Admit::AfterProbe,
            Some(open) if now_ms < open.until_ms => Admit::NotBefore(open.until_ms),
            Some(_) => Admit::Probe,
        }
    }

    /// A probe is on its way.
    pub fn probe_started(&mut self) {
        if let Some(open) = &mut self.open {
            open.probing = true;
        }
    }

    /// Takes the outcome of a message; `probe` if it was sent as one.
    pub fn record(
        &mut self,
        settings: &DeliverySettings,
        outcome: Outcome,
        probe: bool,
        pause_until_ms: Option<i64>,
        (now_ms, seed): (i64, u64),
    ) -> CircuitChange {
        if let Some(until_ms) = pause_until_ms {
            self.paused_until_ms = self.paused_until_ms.max(until_ms);
        }
        let backoff = Backoff::of(settings.probe_min, settings.probe_max);
        match outcome {
            Outcome::Unavailable | Outcome::Misconfigured => match &mut self.open {
                Some(open) if probe => {
                    open.probes = open.probes.saturating_add(1);
                    open.until_ms = now_ms.saturating_add(backoff.wait_ms(open.probes, seed));
                    open.probing = false;
                    CircuitChange::None
                }
                // Sent before it was known that the receiver is down: no news.
                Some(_) => CircuitChange::None,
                None => {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures < settings.failures_max.max(1) {
                        return CircuitChange::None;
                    }
                    let until_ms = now_ms.saturating_add(backoff.wait_ms(0, seed));
                    self.open = Some(Open { until_ms, probes: 0, probing: false });
                    CircuitChange::Opened
                }
            },
            Outcome::Delivered | Outcome::Throttled | Outcome::Deferred | Outcome::Refused => {
                self.failures = 0;
                if self.open.take().is_some() { CircuitChange::Closed } else { CircuitChange::None }
            }
            Outcome::Unknown | Outcome::NotSent => {
                if let Some(open) = self.open.as_mut().filter(|_| probe) {
                    open.probing = false;
                }
                CircuitChange::None
            }
        }
    }
}

#[cfg(test)]
mod tests;
