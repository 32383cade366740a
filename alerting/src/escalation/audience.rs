//! A receiver that names users: each of them is told through their own channels, as they want it.
//!
//! For every user, channel and alert there is one decision of the stage `preference`. What is wanted now becomes a
//! notification of the channel's integrations, which have a log of their own: what quiet hours hold back is told by the
//! first flush after them if it still fires. What a user was told as firing before stays so for them until then, and
//! its end is told then, too: the group keeps it for so long.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, IntegrationKey};
use crate::escalation::preferences::{Delivery, Preferences};
use crate::group::Flush;
use crate::notification_log::LogKey;
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Fingerprint;
use crate::route::pipeline::{self, Decision, Facts, Outcome, Stage};

/// The label that preferences go by.
const SEVERITY: &str = "severity";

/// What one channel of one user hears.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Who.
    pub user: String,
    /// The receiver behind the channel.
    pub receiver: String,
    /// What is told now.
    pub now: BTreeSet<Fingerprint>,
    /// What is told after the user's quiet hours.
    pub later: BTreeSet<Fingerprint>,
    /// What the user's digest lists.
    pub digest: BTreeSet<Fingerprint>,
    /// Why: one for each alert.
    pub decisions: Vec<Decision>,
}

/// What the users behind `receiver` want to hear of `alerts`, channel by channel; nothing where it names none.
pub fn choices(config: &Config, receiver: &str, alerts: &[Alert], now: Timestamp) -> Vec<Choice> {
    let own = &config.tidewatch;
    let audience = own.audiences.iter().filter(|audience| audience.receiver == receiver);
    let mut choices = Vec::new();
    for user in audience.flat_map(|audience| &audience.users) {
        let Some(preference) = own.preferences.iter().find(|preference| preference.user == *user) else { continue };
        for (channel, receiver) in &preference.receivers {
            let mut choice = Choice { user: user.clone(), receiver: receiver.clone(), ..Choice::default() };
            for alert in alerts {
                let severity = alert.labels.value(SEVERITY);
                let delivery = Preferences(&own.preferences).decide(user, severity, channel, now);
                choice.take(alert.fingerprint(), channel, severity, delivery);
            }
            choices.push(choice);
        }
    }
    choices
}

impl Choice {
    fn take(&mut self, alert: Fingerprint, channel: &str, severity: &str, delivery: Delivery) {
        let (user, receiver) = (&self.user, &self.receiver);
        let (passed, reason) = match delivery {
            Delivery::Now => {
                self.now.insert(alert);
                (true, format!("{user} gets severity {severity:?} by {channel}, receiver {receiver:?}"))
            }
            Delivery::Later(reason) => {
                self.later.insert(alert);
                self.digest.insert(alert);
                (false, reason)
            }
            Delivery::Digest(reason) => {
                self.digest.insert(alert);
                (false, reason)
            }
            Delivery::Never(reason) => (false, reason),
        };
        let by = vec![format!("{user}/{channel}")];
        self.decisions.push(Decision { stage: Stage::Preference, alert: Some(alert), passed, reason, by });
    }
}

/// What one integration hears; several users may share it.
#[derive(Debug, Default)]
struct Share {
    now: BTreeSet<Fingerprint>,
    later: BTreeSet<Fingerprint>,
}

/// Adds what the users behind the flush's receiver are told to `outcome`. `flapping` are the alerts that are held as
/// firing.
pub fn tell(
    facts: &Facts<'_>,
    flush: &Flush,
    alerts: &[Alert],
    flapping: &BTreeSet<Fingerprint>,
    outcome: &mut Outcome,
) {
    let mut shares: BTreeMap<IntegrationKey, Share> = BTreeMap::new();
    for choice in choices(facts.config, &flush.settings.receiver, alerts, flush.now) {
        for (key, _) in facts.config.integrations(&choice.receiver) {
            let share = shares.entry(key).or_default();
            share.now.extend(&choice.now);
            share.later.extend(&choice.later);
        }
        let digested = alerts.iter().filter(|alert| choice.digest.contains(&alert.fingerprint()));
        outcome.digested.extend(digested.map(|alert| (choice.user.clone(), alert.clone())));
        outcome.decisions.extend(choice.decisions);
    }
    for (key, share) in shares {
        let Some(integration) = facts.config.integration(&key) else { continue };
        let last = facts.log.last(&LogKey { group: flush.key.clone(), integration: key.clone() }, flush.now);
        // Told before, and nothing about it now.
        let later = share.later.difference(&share.now);
        let kept: Vec<Fingerprint> =
            later.filter(|alert| last.is_some_and(|last| last.told.firing.contains(alert))).copied().collect();
        outcome.kept.extend(&kept);
        let wanted = alerts.iter().filter(|alert| share.now.contains(&alert.fingerprint()));
        let wanted: Vec<Alert> = wanted.cloned().collect();
        if wanted.is_empty() && (last.is_none() || !share.later.is_empty()) {
            continue;
        }
        let mut told = pipeline::told(&wanted, flapping, flush.now);
        told.firing.extend(kept);
        let (reason, decision) = pipeline::dedup(facts.log, flush, &key, &integration, &told);
        outcome.decisions.push(decision);
        if let Some(reason) = reason {
            outcome.hand_over(flush, key, &integration, reason, &wanted, told);
        }
    }
}

#[cfg(test)]
mod tests;
