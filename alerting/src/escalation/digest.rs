//! Digests: alerts collected into one mail at a time of day in a zone.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::config::extensions::DigestConfig;
use crate::mute::interval::parse_minutes;
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Fingerprint;

/// When a digest goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    minute: u32,
    /// From Sunday; all, when none is named.
    weekdays: [bool; 7],
    zone: Tz,
}

impl Schedule {
    /// The schedule of a digest.
    ///
    /// # Errors
    /// What is wrong with its time or weekdays.
    pub fn new(config: &DigestConfig) -> Result<Self, String> {
        let minute = parse_minutes(&config.at)?;
        if minute == 1440 {
            return Err("a digest cannot go out at 24:00, expected 00:00 to 23:59".to_string());
        }
        let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
        let mut weekdays = [config.weekdays.is_empty(); 7];
        for day in &config.weekdays {
            let at =
                names.iter().position(|name| name == day).ok_or_else(|| format!("{day} is not a valid weekday"))?;
            weekdays[at] = true;
        }
        Ok(Self { minute, weekdays, zone: config.location.map_or(Tz::UTC, |location| location.0) })
    }

    /// The first time after `instant` at which the digest goes out. Where the clocks skip the time, the first instant
    /// after the gap; where they show it twice, the first of both, once.
    pub fn next_after(&self, instant: Timestamp) -> Timestamp {
        let mut date = instant.with_timezone(&self.zone).date_naive();
        loop {
            let weekday = date.weekday().num_days_from_sunday() as usize;
            if self.weekdays[weekday]
                && let Some(found) = self.on(date).filter(|found| *found > instant)
            {
                return found;
            }
            match date.checked_add_days(Days::new(1)) {
                Some(next) => date = next,
                // The end of the calendar.
                None => return Timestamp::MAX_UTC,
            }
        }
    }

    fn on(&self, date: NaiveDate) -> Option<Timestamp> {
        let mut local = date.and_hms_opt(self.minute / 60, self.minute % 60, 0)?;
        // No zone skips more than a day.
        for _ in 0..=1440 {
            if let Some(found) = self.zone.from_local_datetime(&local).earliest() {
                return Some(found.to_utc());
            }
            local += TimeDelta::minutes(1);
        }
        None
    }

    /// `instant` on the schedule's clock.
    pub fn local(&self, instant: Timestamp) -> DateTime<Tz> {
        instant.with_timezone(&self.zone)
    }
}

/// An alert in a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestEntry {
    /// As it was last.
    pub alert: Alert,
    /// How often it began to fire.
    pub fired: u32,
    /// Whether it was resolved at its last message.
    pub resolved: bool,
}

impl DigestEntry {
    fn renew(&mut self, alert: &Alert, now: Timestamp) {
        let resolved = alert.resolved_at(now);
        self.fired += u32::from(self.resolved && !resolved);
        self.resolved = resolved;
        self.alert = alert.clone();
    }
}

/// What a mail contains.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestMail {
    /// Name of the digest.
    pub digest: String,
    /// Who gets it.
    pub receiver: String,
    /// When the time that it covers begins, inclusive.
    pub from: Timestamp,
    /// When it ends, exclusive: when the mail was due.
    pub until: Timestamp,
    /// In the order of messages.
    pub entries: Vec<DigestEntry>,
    /// Alerts that did not fit.
    pub dropped: u64,
    /// Makes this mail once only.
    pub idempotency_key: String,
}

/// One digest's collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Digest {
    #[serde(with = "crate::notification_log::pairs")]
    entries: BTreeMap<Fingerprint, DigestEntry>,
    from: Timestamp,
    /// Bound on the alerts of one mail; those beyond are only counted.
    pub entries_max: usize,
    dropped: u64,
}

impl Digest {
    /// An empty collection that begins at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { entries: BTreeMap::new(), from: now, entries_max: 1000, dropped: 0 }
    }

    /// Takes note of an alert, if the digest is about it.
    pub fn observe(&mut self, config: &DigestConfig, alert: &Alert, now: Timestamp) {
        if !config.all_matchers().matches(&alert.labels) {
            return;
        }
        let (fingerprint, resolved) = (alert.fingerprint(), alert.resolved_at(now));
        if let Some(entry) = self.entries.get_mut(&fingerprint) {
            entry.renew(alert, now);
        } else if self.entries.len() < self.entries_max {
            let entry = DigestEntry { alert: alert.clone(), fired: u32::from(!resolved), resolved };
            self.entries.insert(fingerprint, entry);
        } else {
            self.dropped += 1;
        }
    }

    /// Takes note of what was found out later about an alert: one that is not in the collection joins it, as one that did
    /// not fire since the last mail.
    pub fn amend(&mut self, config: &DigestConfig, alert: &Alert, now: Timestamp) {
        let Some(amendment) = &alert.detail.amendment else { return };
        if !config.all_matchers().matches(&alert.labels) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&alert.fingerprint()) {
            entry.alert.detail.amendment = Some(amendment.clone());
        } else if self.entries.len() < self.entries_max {
            let resolved = alert.resolved_at(now);
            self.entries.insert(alert.fingerprint(), DigestEntry { alert: alert.clone(), fired: 0, resolved });
        } else {
            self.dropped += 1;
        }
    }

    /// Takes note of news of an alert that is in the collection already.
    pub fn renew(&mut self, alert: &Alert, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&alert.fingerprint()) {
            entry.renew(alert, now);
        }
    }

    /// When the next mail is due.
    pub fn next_due(&self, schedule: &Schedule) -> Timestamp {
        schedule.next_after(self.from)
    }

    /// The mail, when one is due; none is sent about nothing. What still fires is in the next one, too.
    pub fn due(&mut self, config: &DigestConfig, schedule: &Schedule, now: Timestamp) -> Option<DigestMail> {
        let until = Some(self.next_due(schedule)).filter(|due| *due <= now)?;
        let mut entries: Vec<DigestEntry> = self.entries.values().cloned().collect();
        for entry in &mut entries {
            entry.resolved |= entry.alert.resolved_at(now);
        }
        entries.sort_by(|one, two| one.alert.message_order(&two.alert));
        let from = std::mem::replace(&mut self.from, until);
        let dropped = std::mem::take(&mut self.dropped);
        self.entries.retain(|_, entry| !entry.resolved && !entry.alert.resolved_at(now));
        for entry in self.entries.values_mut() {
            entry.fired = 0;
        }
        if entries.is_empty() && dropped == 0 {
            return None;
        }
        let key = crate::receiver::idempotency_key(&[&config.name, &until.timestamp().to_string(), "digest"]);
        Some(DigestMail {
            digest: config.name.clone(),
            receiver: config.receiver.clone(),
            from,
            until,
            entries,
            dropped,
            idempotency_key: key,
        })
    }
}

#[cfg(test)]
mod tests;
