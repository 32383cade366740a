//! Silences: muted by a person, for a time, with a reason.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::route::alert::Timestamp;
use crate::route::labels::Labels;
use crate::route::matcher::Matcher;

/// Where a silence is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// Mutes now.
    Active,
    /// Will mute.
    Pending,
    /// Has muted.
    Expired,
}

/// Mutes alerts that fulfil all matchers, within `[starts_at, ends_at)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// UUID.
    pub id: String,
    /// All of them must be fulfilled.
    pub matchers: Vec<Matcher>,
    /// From when on, inclusive.
    pub starts_at: Timestamp,
    /// Until when, exclusive.
    pub ends_at: Timestamp,
    /// When a person last changed it.
    pub updated_at: Timestamp,
    /// Who.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Further texts.
    #[serde(default)]
    pub annotations: Labels,
}

impl Silence {
    /// Where it is in its life at `now`.
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    /// Whether the labels fulfil all matchers, whatever the time.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
    }
}

/// A silence to be: with an id it replaces or changes another one.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceRequest {
    /// Of the silence that is meant; `None` for a new one.
    pub id: Option<String>,
    /// All of them must be fulfilled.
    pub matchers: Vec<Matcher>,
    /// From when on.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Further texts.
    pub annotations: Labels,
}

/// Why a silence was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// No silence has this id.
    #[error("silence {0:?} not found")]
    NotFound(String),
    /// The request makes no sense.
    #[error("invalid silence: {0}")]
    Invalid(String),
    /// The bound is reached.
    #[error("exceeded maximum number of silences: {0} (limit: {0}); expire some first")]
    TooMany(usize),
}

/// All silences, also those that have expired within the retention.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Silences {
    silences: BTreeMap<String, Silence>,
    /// Milliseconds for which expired silences are kept.
    pub retention_ms: i64,
    /// Bound on their number, expired ones included.
    pub silences_max: usize,
    /// Silences refused at that bound.
    pub refused: u64,
}

impl Default for Silences {
    fn default() -> Self {
        let retention_ms = TimeDelta::hours(120).num_milliseconds();
        Self { silences: BTreeMap::new(), retention_ms, silences_max: 10_000, refused: 0 }
    }
}

impl Silences {
    /// Creates or changes a silence and returns its id. Where a change would rewrite what has already been muted (other
    /// matchers, another start of an active one, an end in the past), the old one expires and a new one is made.
    /// `entropy` makes the id of a new one.
    ///
    /// # Errors
    /// When the request is refused; nothing has changed then.
    pub fn set(&mut self, request: SilenceRequest, now: Timestamp, entropy: u128) -> Result<String, SilenceError> {
        validate(&request)?;
        let previous = match &request.id {
            Some(id) => Some(self.silences.get(id).ok_or_else(|| SilenceError::NotFound(id.clone()))?.clone()),
            None => None,
        };
        let SilenceRequest { matchers, starts_at, ends_at, created_by, comment, annotations, .. } = request;
        let mut silence = Silence {
            id: String::new(),
            matchers,
            starts_at,
            ends_at,
            updated_at: now,
            created_by,
            comment,
            annotations,
        };
        if let Some(previous) = previous {
            if can_change(&previous, &silence, now) {
                silence.id.clone_from(&previous.id);
                self.silences.insert(previous.id.clone(), silence);
                return Ok(previous.id);
            }
            self.make_room()?;
            self.expire(&previous.id, now)?;
        } else {
            self.make_room()?;
        }
        silence.id = uuid(entropy);
        silence.starts_at = silence.starts_at.max(now);
        let id = silence.id.clone();
        self.silences.insert(id.clone(), silence);
        Ok(id)
    }

    fn make_room(&mut self) -> Result<(), SilenceError> {
        if self.silences.len() >= self.silences_max {
            self.refused += 1;
            return Err(SilenceError::TooMany(self.silences_max));
        }
        Ok(())
    }

    /// Ends a silence now; one that has already expired stays as it is.
    ///
    /// # Errors
    /// When there is none with this id.
    pub fn expire(&mut self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        let silence = self.silences.get_mut(id).ok_or_else(|| SilenceError::NotFound(id.to_string()))?;
        match silence.state(now) {
            SilenceState::Expired => return Ok(()),
            SilenceState::Active => {}
            SilenceState::Pending => silence.starts_at = now,
        }
        silence.ends_at = now;
        silence.updated_at = now;
        Ok(())
    }

    /// By id.
    pub fn get(&self, id: &str) -> Option<&Silence> {
        self.silences.get(id)
    }

    /// All, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values()
    }

    /// Ids of the silences that mute `labels` at `now`.
    pub fn muting(&self, labels: &Labels, now: Timestamp) -> Vec<&Silence> {
        let active = self.silences.values().filter(|silence| silence.state(now) == SilenceState::Active);
        active.filter(|silence| silence.matches(labels)).collect()
    }

    /// Forgets what expired longer ago than the retention; returns how many.
    pub fn forget_expired(&mut self, now: Timestamp) -> usize {
        let (before, retention) = (self.silences.len(), TimeDelta::milliseconds(self.retention_ms));
        self.silences.retain(|_, silence| silence.ends_at + retention > now);
        before - self.silences.len()
    }
}

fn validate(request: &SilenceRequest) -> Result<(), SilenceError> {
    let invalid = |reason: &str| Err(SilenceError::Invalid(reason.to_string()));
    if request.matchers.is_empty() {
        return invalid("at least one matcher required");
    }
    if request.matchers.iter().any(|matcher| matcher.name().is_empty()) {
        return invalid("invalid label name \"\"");
    }
    // A negative matcher is taken as one that does not match the empty text, as Alertmanager takes it.
    if request.matchers.iter().all(|matcher| matcher.op().is_equal() && matcher.matches("")) {
        return invalid("at least one matcher must not match the empty string");
    }
    if request.ends_at < request.starts_at {
        return invalid("end time must not be before start time");
    }
    Ok(())
}

fn can_change(old: &Silence, new: &Silence, now: Timestamp) -> bool {
    let in_time = match old.state(now) {
        SilenceState::Active => old.starts_at.timestamp() == new.starts_at.timestamp() && new.ends_at >= now,
        SilenceState::Pending => new.starts_at >= now,
        SilenceState::Expired => false,
    };
    in_time && old.matchers == new.matchers
}

/// A random (version 4) UUID of 128 random bits.
fn uuid(entropy: u128) -> String {
    let bits = entropy & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests;
