//! What a user wants to get, through which channel, and when not.

use crate::config::people::{PreferenceConfig, UserDigestConfig};
use crate::route::alert::Timestamp;

/// Whether a user gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Now.
    Now,
    /// After the quiet hours, if there is still something to tell. The user's digest lists it, too.
    Later(String),
    /// Only in the user's digest.
    Digest(String),
    /// Not at all.
    Never(String),
}

/// The preferences of all users.
#[derive(Debug, Clone, Copy)]
pub struct Preferences<'a>(pub &'a [PreferenceConfig]);

impl Preferences<'_> {
    /// Whether `user` gets a message of this severity through `channel` at `now`. Who has no preferences gets
    /// everything.
    pub fn decide(&self, user: &str, severity: &str, channel: &str, now: Timestamp) -> Delivery {
        let Some(wanted) = self.0.iter().find(|preference| preference.user == user) else { return Delivery::Now };
        if !wanted.severities.is_empty() && !wanted.severities.iter().any(|known| known == severity) {
            return Delivery::Never(format!("{user} does not want severity {severity:?}"));
        }
        if wanted.channels.get(severity).is_some_and(|channels| !channels.iter().any(|known| known == channel)) {
            return Delivery::Never(format!("{user} does not want severity {severity:?} by {channel}"));
        }
        let collects = |own: &UserDigestConfig| own.channel == channel && own.severities.iter().any(|s| s == severity);
        if wanted.digest.as_ref().is_some_and(collects) {
            return Delivery::Digest(format!(
                "{user} wants severity {severity:?} by {channel} collected into a digest"
            ));
        }
        let quiet = wanted.quiet_hours.as_ref().is_some_and(|hours| hours.contains(now));
        if quiet && !wanted.breaks_through(severity) {
            return Delivery::Later(format!("quiet hours of {user} hold back severity {severity:?} by {channel}"));
        }
        Delivery::Now
    }
}

#[cfg(test)]
mod tests;
