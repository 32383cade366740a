//! Every alert that was received and is not yet forgotten.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::route::alert::{Alert, AlertDetail, Timestamp};
use crate::route::labels::Fingerprint;

/// The alerts by identity.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertStore {
    #[serde(with = "crate::notification_log::pairs")]
    alerts: BTreeMap<Fingerprint, Alert>,
    /// Bound on their number; at it new alerts are refused with an error, so that the sender knows and repeats.
    pub alerts_max: usize,
    /// Alerts refused at that bound.
    pub refused: u64,
    /// Milliseconds for which resolved alerts are kept.
    pub retention_ms: i64,
}

impl Default for AlertStore {
    fn default() -> Self {
        let retention_ms = TimeDelta::minutes(30).num_milliseconds();
        Self { alerts: BTreeMap::new(), alerts_max: 1_000_000, refused: 0, retention_ms }
    }
}

impl AlertStore {
    /// Takes a message about an alert, merges it with what is known, and returns the alert as it is now. Without an end
    /// the alert is resolved `resolve_timeout` after the message, or never when that is `None`.
    ///
    /// # Errors
    /// When the alert is not valid or the bound is reached.
    pub fn receive(
        &mut self,
        mut alert: Alert,
        resolve_timeout: Option<TimeDelta>,
        now: Timestamp,
    ) -> Result<Alert, String> {
        alert.updated_at = now;
        alert.labels.0.retain(|_, value| !value.is_empty());
        if let (None, Some(timeout)) = (alert.ends_at, resolve_timeout) {
            alert.timeout = true;
            alert.ends_at = Some(now + timeout);
        }
        alert.validate()?;
        let fingerprint = alert.fingerprint();
        if let Some(known) = self.alerts.get(&fingerprint).filter(|known| known.starts_at == alert.starts_at) {
            alert.detail.keep(&known.detail);
        }
        let merged = match self.alerts.remove(&fingerprint) {
            Some(known) if overlap(&alert, &known) => known.merge(alert, now),
            Some(_) => alert,
            None if self.alerts.len() >= self.alerts_max => {
                self.refused += 1;
                return Err(format!("too many alerts (limit: {})", self.alerts_max));
            }
            None => alert,
        };
        self.alerts.insert(fingerprint, merged.clone());
        Ok(merged)
    }

    /// Notes what was found out later about the alert that fired at `at`; false when it is not known (any more).
    pub fn amend(&mut self, fingerprint: Fingerprint, at: Timestamp, amendment: &str) -> bool {
        self.alerts.get_mut(&fingerprint).is_some_and(|alert| alert.amend(at, amendment))
    }

    /// One alert.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&Alert> {
        self.alerts.get(&fingerprint)
    }

    /// What explains an alert.
    pub fn detail_mut(&mut self, fingerprint: Fingerprint) -> Option<&mut AlertDetail> {
        self.alerts.get_mut(&fingerprint).map(|alert| &mut alert.detail)
    }

    /// All alerts in the order of fingerprints.
    pub fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// Forgets alerts resolved longer ago than the retention; returns how many.
    pub fn forget_resolved(&mut self, now: Timestamp) -> usize {
        let (before, retention) = (self.alerts.len(), TimeDelta::milliseconds(self.retention_ms));
        self.alerts.retain(|_, alert| alert.ends_at.is_none_or(|end| end + retention > now));
        before - self.alerts.len()
    }
}

/// Whether a message and what is known speak of one firing; without an end both last for ever.
fn overlap(new: &Alert, known: &Alert) -> bool {
    let before_end = |instant: Timestamp| known.ends_at.is_none_or(|end| instant < end);
    let end_inside = new.ends_at.is_some_and(|end| end > known.starts_at && before_end(end));
    let start_inside = new.starts_at > known.starts_at && before_end(new.starts_at);
    let endless = new.ends_at.is_none() && before_end(new.starts_at);
    end_inside || start_inside || endless
}
