//! Users: which receivers name them, and what each of them wants.
//!
//! ```yaml
//! tidewatch:
//!   audiences:                 # receivers that name users; they may have integrations of their own as well
//!     - {receiver: on-call, users: [anna, bob]}
//!   preferences:
//!     - user: anna
//!       receivers: {slack: anna-slack, sms: anna-sms, mail: anna-mail}    # her channels
//!       channels: {critical: [slack, sms], warning: [slack]}              # any other severity: all of them
//!       quiet_hours: {times: [{start_time: "22:00", end_time: "24:00"}, {start_time: "00:00", end_time: "07:00"}],
//!                     location: Europe/Berlin}
//!       break_through: [critical]                                         # wanted even then; this is the default
//!       digest: {channel: mail, severities: [info], at: "08:00", location: Europe/Berlin}
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::{Mistake, Path};
use super::extensions::DigestConfig;
use super::scalar::null_default;
use crate::mute::TimeInterval;
use crate::mute::interval::Location;

/// What quiet hours let through, unless the user says otherwise.
const BREAK_THROUGH: &str = "critical";
/// Begins the names of users' digests.
const DIGEST_PREFIX: &str = "user:";

/// The users that a receiver stands for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudienceConfig {
    /// Name of the receiver; unique.
    pub receiver: String,
    /// Each has preferences.
    #[serde(deserialize_with = "null_default")]
    pub users: Vec<String>,
}

/// What one user wants.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PreferenceConfig {
    /// Unique.
    pub user: String,
    /// The user's channels: names of receivers by channel.
    #[serde(deserialize_with = "null_default")]
    pub receivers: BTreeMap<String, String>,
    /// Channels by severity; a severity that is missing goes to all channels.
    #[serde(deserialize_with = "null_default")]
    pub channels: BTreeMap<String, Vec<String>>,
    /// Severities that are wanted at all; all, when missing.
    #[serde(deserialize_with = "null_default")]
    pub severities: Vec<String>,
    /// When nothing is wanted.
    pub quiet_hours: Option<TimeInterval>,
    /// Severities that are wanted even then; `critical`, when missing.
    pub break_through: Option<Vec<String>>,
    /// One mail at a time of day; lists what quiet hours hold back, too.
    pub digest: Option<UserDigestConfig>,
}

/// A user's digest.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserDigestConfig {
    /// Channel of its mails.
    pub channel: String,
    /// Severities that are collected instead of being told one by one through that channel.
    #[serde(deserialize_with = "null_default")]
    pub severities: Vec<String>,
    /// Local time of day, `HH:MM`.
    pub at: String,
    /// Weekdays in small letters; every day, when missing.
    #[serde(deserialize_with = "null_default")]
    pub weekdays: Vec<String>,
    /// Time zone; UTC, when missing.
    pub location: Option<Location>,
}

/// Name of a user's digest.
pub fn digest_name(user: &str) -> String {
    format!("{DIGEST_PREFIX}{user}")
}

impl PreferenceConfig {
    /// Whether a severity is wanted in quiet hours.
    pub fn breaks_through(&self, severity: &str) -> bool {
        match &self.break_through {
            Some(severities) => severities.iter().any(|known| known == severity),
            None => severity == BREAK_THROUGH,
        }
    }

    /// The user's digest, if there is one, as any other.
    pub fn as_digest(&self) -> Option<DigestConfig> {
        let own = self.digest.as_ref()?;
        Some(DigestConfig {
            name: digest_name(&self.user),
            receiver: self.receivers.get(&own.channel).cloned().unwrap_or_default(),
            matchers: Vec::new(),
            at: own.at.clone(),
            weekdays: own.weekdays.clone(),
            location: own.location,
        })
    }

    fn validate(&self, at: &Path, known: &impl Fn(&str, &Path) -> Result<(), Mistake>) -> Result<(), Mistake> {
        for (channel, receiver) in &self.receivers {
            known(receiver, &at.key("receivers").key(channel))?;
        }
        let has = |channel: &str, at: &Path| {
            if self.receivers.is_empty() || self.receivers.contains_key(channel) {
                return Ok(());
            }
            let user = &self.user;
            Err(Mistake::new(at, format!("user {user:?} has no channel {channel:?}")).hint("add it under `receivers`"))
        };
        for (severity, channels) in &self.channels {
            for (index, channel) in channels.iter().enumerate() {
                has(channel, &at.key("channels").key(severity).index(index))?;
            }
        }
        let (Some(own), Some(digest)) = (&self.digest, self.as_digest()) else { return Ok(()) };
        let at = at.key("digest");
        has(&own.channel, &at.key("channel"))?;
        if digest.receiver.is_empty() {
            return Err(Mistake::new(&at.key("channel"), "a digest needs a channel of the user's `receivers`"));
        }
        crate::escalation::digest::Schedule::new(&digest).map(|_| ()).map_err(|reason| Mistake::new(&at, reason))
    }
}

/// Refuses audiences and preferences that do not fit together. `known` refuses receivers that there are not.
pub(super) fn validate(
    at: &Path,
    audiences: &[AudienceConfig],
    preferences: &[PreferenceConfig],
    digests: &[DigestConfig],
    known: &impl Fn(&str, &Path) -> Result<(), Mistake>,
) -> Result<(), Mistake> {
    if let Some(index) = digests.iter().position(|digest| digest.name.starts_with(DIGEST_PREFIX)) {
        let message = format!("names of digests that begin with {DIGEST_PREFIX:?} are those of users");
        return Err(Mistake::new(&at.key("digests").index(index).key("name"), message));
    }
    for (index, preference) in preferences.iter().enumerate() {
        preference.validate(&at.key("preferences").index(index), known)?;
    }
    let with_users: BTreeSet<&str> = audiences.iter().map(|audience| audience.receiver.as_str()).collect();
    for (index, audience) in audiences.iter().enumerate() {
        let at = at.key("audiences").index(index);
        known(&audience.receiver, &at.key("receiver"))?;
        for (index, user) in audience.users.iter().enumerate() {
            let at = at.key("users").index(index);
            let found = preferences.iter().find(|preference| preference.user == *user);
            let Some(preference) = found.filter(|preference| !preference.receivers.is_empty()) else {
                let message = format!("nothing is known of how to reach user {user:?}");
                return Err(Mistake::new(&at, message).hint("add `receivers` under `preferences`"));
            };
            if audience.users[..index].contains(user) {
                return Err(Mistake::new(&at, format!("user {user:?} is named twice")));
            }
            if let Some((channel, receiver)) =
                preference.receivers.iter().find(|(_, receiver)| with_users.contains(receiver.as_str()))
            {
                let message =
                    format!("channel {channel:?} of user {user:?} is receiver {receiver:?}, which names users");
                return Err(Mistake::new(&at, message).hint("a channel needs a receiver of its own"));
            }
        }
    }
    Ok(())
}
