//! "Why was I not paged?": every stage's decision about one alert, now.

use std::fmt;

use serde::Serialize;

use super::alert::Timestamp;
use super::labels::Fingerprint;
use super::notifier::Notifier;
use super::pipeline::{self, Decision, Stage};
use crate::escalation::audience::{self, Choice};
use crate::group::Flush;
use crate::notification_log::LogKey;

/// The decisions about an alert, route by route in the order of the stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Which alert.
    pub alert: Fingerprint,
    /// When it was asked.
    pub at: Timestamp,
    /// All decisions; those before the first route are about the alert itself.
    pub decisions: Vec<Decision>,
    /// Whether some integration has been told, or would be if its group were flushed now.
    pub heard: bool,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "alert {} at {}", self.alert, self.at.to_rfc3339())?;
        self.decisions.iter().try_for_each(|decision| writeln!(formatter, "  {decision}"))
    }
}

/// Explains an alert as it is at `now`. Every stage says something about every route, whether it stops the alert or not.
pub fn explain(notifier: &Notifier, fingerprint: Fingerprint, now: Timestamp) -> Explanation {
    let mut told_of = Teller { alert: fingerprint, decisions: Vec::new() };
    let heard = describe(notifier, now, &mut told_of);
    Explanation { alert: fingerprint, at: now, decisions: told_of.decisions, heard }
}

/// Collects decisions about one alert.
struct Teller {
    alert: Fingerprint,
    decisions: Vec<Decision>,
}

impl Teller {
    fn say(&mut self, stage: Stage, passed: bool, reason: impl Into<String>, by: Vec<String>) {
        self.decisions.push(Decision { stage, alert: Some(self.alert), passed, reason: reason.into(), by });
    }
}

/// Says everything; returns whether some integration has heard of the alert, or would.
fn describe(notifier: &Notifier, now: Timestamp, teller: &mut Teller) -> bool {
    let (fingerprint, mut heard) = (teller.alert, false);
    let state = &notifier.state;
    let Some(alert) = state.store.get(fingerprint) else {
        teller.say(
            Stage::Received,
            false,
            "no such alert was received, or it was resolved and forgotten".to_string(),
            Vec::new(),
        );
        return false;
    };
    let since = alert.starts_at.to_rfc3339();
    let status = match alert.ends_at.filter(|end| *end <= now) {
        Some(end) => format!("resolved at {}, fired since {since}", end.to_rfc3339()),
        None => format!("firing since {since}, last heard of at {}", alert.updated_at.to_rfc3339()),
    };
    teller.say(Stage::Received, true, status, Vec::new());
    let sources = notifier.inhibitor().sources(state.store.iter(), now);
    let settings = notifier.config().tidewatch.flapping.as_ref();
    for route in notifier.tree().matching(&alert.labels) {
        let receiver = &route.settings.receiver;
        teller.say(
            Stage::Route,
            true,
            format!("route {} leads to receiver {receiver:?}", route.key),
            vec![route.id.clone()],
        );
        let Some((id, group)) = state.groups.holding(&route.id, fingerprint).next() else {
            teller.say(
                Stage::Group,
                false,
                "in no group: resolved, and that has been dealt with".to_string(),
                Vec::new(),
            );
            continue;
        };
        let next = group.next_flush.to_rfc3339();
        let reason = format!("in group {}, flushed {} times, next at {next}", group.key, group.flushes);
        teller.say(Stage::Group, true, reason, vec![group.key.clone()]);
        let flush = Flush {
            group: id.clone(),
            key: group.key.clone(),
            settings: route.settings.clone(),
            alerts: vec![alert.clone()],
            now,
        };
        let mut stopped = false;
        let stages = [
            (Stage::Inhibit, "no inhibition", pipeline::inhibit(&sources, flush.alerts.clone()).1),
            (Stage::MuteTime, "no mute time", pipeline::mute_times(notifier.config(), &flush, flush.alerts.clone()).1),
            (Stage::Silence, "no silence", pipeline::silence(&state.silences, flush.alerts.clone(), now).1),
            (
                Stage::Flapping,
                "not flapping",
                pipeline::hold_flapping(&state.flapping, settings, flush.alerts.clone(), now).2,
            ),
        ];
        for (stage, otherwise, decisions) in stages {
            match decisions.into_iter().next() {
                Some(decision) => {
                    stopped |= !decision.passed;
                    teller.say(stage, decision.passed, decision.reason, decision.by);
                }
                None => teller.say(stage, true, otherwise.to_string(), Vec::new()),
            }
        }
        teller.say(Stage::Wait, true, "no other replica goes first".to_string(), Vec::new());
        // What the whole group would tell decides, not this alert alone.
        let mut members: Vec<_> = group.alerts.values().cloned().collect();
        members = pipeline::inhibit(&sources, members).0;
        members = pipeline::silence(&state.silences, members, now).0;
        let (members, held, _) = pipeline::hold_flapping(&state.flapping, settings, members, now);
        let told = pipeline::told(&members, &held, now);
        let choices = audience::choices(notifier.config(), receiver, std::slice::from_ref(alert), now);
        heard |= preferences(notifier, &choices, &group.key, stopped, now, teller);
        let integrations = notifier.config().integrations(receiver);
        if integrations.is_empty() && !choices.is_empty() {
            continue;
        }
        if integrations.is_empty() {
            let reason = format!("receiver {receiver:?} has no integration that is served here");
            teller.say(Stage::Dedup, false, reason, vec![receiver.clone()]);
            continue;
        }
        for (key, integration) in integrations {
            let (_, decision) = pipeline::dedup(&state.log, &flush, &key, &integration, &told);
            let log_key = LogKey { group: group.key.clone(), integration: key.clone() };
            let last = state.log.last(&log_key, now).filter(|last| last.told.firing.contains(&fingerprint));
            heard |= last.is_some() || !stopped && decision.passed;
            let passed = decision.passed && !stopped;
            teller.say(Stage::Dedup, passed, decision.reason, vec![key.to_string()]);
            if let Some(last) = last {
                let reason = format!("told as firing at {}", last.at.to_rfc3339());
                teller.say(Stage::Record, true, reason, vec![key.to_string()]);
            }
        }
    }
    if let Some(incident) = state.escalation.get(fingerprint) {
        let reason = match &incident.acknowledged {
            Some(act) => format!("acknowledged by {} at {}", act.by, act.at.to_rfc3339()),
            None => format!("policy {}, {} levels reached", incident.policy, incident.escalation_level),
        };
        teller.say(Stage::Escalation, incident.acknowledged.is_none(), reason, vec![incident.policy.clone()]);
    }
    heard
}

/// Says what the users behind a receiver want and were told; returns whether any of them has heard of the alert, or would.
fn preferences(
    notifier: &Notifier,
    choices: &[Choice],
    group: &str,
    stopped: bool,
    now: Timestamp,
    teller: &mut Teller,
) -> bool {
    let mut heard = false;
    for choice in choices {
        teller.decisions.extend(choice.decisions.iter().cloned());
        heard |= !stopped && !choice.now.is_empty();
        for (key, _) in notifier.config().integrations(&choice.receiver) {
            let log_key = LogKey { group: group.to_string(), integration: key.clone() };
            let last = notifier.state.log.last(&log_key, now);
            if let Some(last) = last.filter(|last| last.told.firing.contains(&teller.alert)) {
                heard = true;
                let reason = format!("told as firing at {}", last.at.to_rfc3339());
                teller.say(Stage::Record, true, reason, vec![key.to_string()]);
            }
        }
    }
    heard
}
