//! The API's operations.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{
    AlertGroup, AlertState, AlertStatus, AlertmanagerStatus, ApiReceiver, ClusterStatus, GettableAlert,
    GettableSilence, OriginalConfig, PostableAlert, PostableSilence, PostedSilence, ReceiverReference, VersionInfo,
};
use crate::inhibit::Sources;
use crate::mute::calendar;
use crate::route::alert::{Alert, Timestamp};
use crate::route::labels::Fingerprint;
use crate::route::matcher::{Matcher, anchored};
use crate::route::notifier::Notifier;
use crate::silence::{Silence, SilenceError, SilenceState};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 400
    #[error("{0}")]
    BadRequest(String),
    /// 404
    #[error("{0}")]
    NotFound(String),
}

/// Parameters of `GET /alerts`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct AlertsQuery {
    pub active: bool,
    pub silenced: bool,
    pub inhibited: bool,
    pub unprocessed: bool,
    pub filter: Vec<String>,
    pub receiver: Option<String>,
    pub receiver_matchers: Vec<String>,
}

impl Default for AlertsQuery {
    fn default() -> Self {
        Self {
            active: true,
            silenced: true,
            inhibited: true,
            unprocessed: true,
            filter: Vec::new(),
            receiver: None,
            receiver_matchers: Vec::new(),
        }
    }
}

/// Parameters of `GET /alerts/groups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupsQuery {
    /// Those it shares with alerts.
    pub alerts: AlertsQuery,
    /// Whether groups that the calendar mutes are shown.
    pub muted: bool,
}

impl Default for GroupsQuery {
    fn default() -> Self {
        Self { alerts: AlertsQuery::default(), muted: true }
    }
}

/// Parameters of `GET /silences`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct SilencesQuery {
    pub active: bool,
    pub pending: bool,
    pub expired: bool,
    pub filter: Vec<String>,
}

impl Default for SilencesQuery {
    fn default() -> Self {
        Self { active: true, pending: true, expired: true, filter: Vec::new() }
    }
}

fn matchers(filter: &[String]) -> Result<Vec<Matcher>, ApiError> {
    filter.iter().map(|text| Matcher::parse(text).map_err(ApiError::BadRequest)).collect()
}

/// Alertmanager's reading of a filter: `name=""` asks for a missing label, `name!=""` for one that is there.
fn passes(matchers: &[Matcher], labels: &BTreeMap<String, String>) -> bool {
    matchers.iter().all(|matcher| {
        let value = labels.get(matcher.name());
        let trivial = matcher.value().is_empty() && value.is_some() != matcher.op().is_equal();
        trivial || matcher.matches(value.map_or("", String::as_str))
    })
}

/// A query made ready: compiled once, used on many alerts.
struct Filter {
    alerts: AlertsQuery,
    labels: Vec<Matcher>,
    receiver: Option<Regex>,
    receiver_labels: Vec<Matcher>,
}

impl Filter {
    fn new(query: &AlertsQuery) -> Result<Self, ApiError> {
        let receiver = query.receiver.as_ref().map(|text| anchored(text)).transpose();
        let failed = |what: &str, reason: &str| ApiError::BadRequest(format!("failed to parse {what} param: {reason}"));
        Ok(Self {
            alerts: query.clone(),
            labels: matchers(&query.filter)?,
            receiver: receiver.map_err(|reason| failed("receiver", &reason))?,
            receiver_labels: matchers(&query.receiver_matchers)
                .map_err(|reason| failed("receiver_matchers", &reason.to_string()))?,
        })
    }

    fn takes_receiver(&self, notifier: &Notifier, name: &str) -> bool {
        let labelled =
            || notifier.config().receiver(name).is_some_and(|found| passes(&self.receiver_labels, &found.labels));
        self.receiver.as_ref().is_none_or(|regex| regex.is_match(name))
            && (self.receiver_labels.is_empty() || labelled())
    }

    /// Any receiver may fit the expression, any the labels.
    fn takes_any(&self, notifier: &Notifier, names: &[&str]) -> bool {
        let fits = |name: &&str| self.receiver.as_ref().is_none_or(|regex| regex.is_match(name));
        let labelled = |name: &&str| {
            notifier.config().receiver(name).is_some_and(|found| passes(&self.receiver_labels, &found.labels))
        };
        names.iter().any(fits) && (self.receiver_labels.is_empty() || names.iter().any(labelled))
    }

    fn takes(&self, alert: &Alert, status: &AlertStatus, now: Timestamp) -> bool {
        // An alert that ends just now is still shown, as in Alertmanager.
        alert.ends_at.is_none_or(|end| end >= now)
            && passes(&self.labels, &alert.labels.0)
            && (self.alerts.active || status.state != AlertState::Active)
            && (self.alerts.silenced || status.silenced_by.is_empty())
            && (self.alerts.inhibited || status.inhibited_by.is_empty())
            && (self.alerts.unprocessed || status.state != AlertState::Unprocessed)
    }
}

/// What mutes an alert now. It is predicted, not remembered: the API says what a flush now would do.
fn status(notifier: &Notifier, sources: &Sources<'_>, alert: &Alert, now: Timestamp) -> AlertStatus {
    let labels = &alert.labels;
    let silenced_by: Vec<String> =
        notifier.state.silences.muting(labels, now).iter().map(|silence| silence.id.clone()).collect();
    let inhibited_by: Vec<String> = sources.muting(labels).iter().map(|found| found.source.to_string()).collect();
    let muted = !silenced_by.is_empty() || !inhibited_by.is_empty();
    let state = if muted { AlertState::Suppressed } else { AlertState::Active };
    let flapping = notifier.is_flapping(alert.fingerprint(), now);
    AlertStatus { state, silenced_by, inhibited_by, muted_by: Vec::new(), flapping }
}

fn gettable(alert: &Alert, status: AlertStatus, receivers: Vec<String>) -> GettableAlert {
    GettableAlert {
        labels: alert.labels.clone(),
        generator_url: alert.generator_url.clone(),
        annotations: alert.annotations.clone(),
        receivers: receivers.into_iter().map(|name| ReceiverReference { name }).collect(),
        fingerprint: alert.fingerprint().to_string(),
        starts_at: alert.starts_at,
        updated_at: alert.updated_at,
        ends_at: alert.ends_at.unwrap_or(Timestamp::UNIX_EPOCH),
        status,
    }
}

/// `GET /alerts`, in the order of fingerprints.
///
/// # Errors
/// For a filter that cannot be read.
pub fn alerts(notifier: &Notifier, query: &AlertsQuery, now: Timestamp) -> Result<Vec<GettableAlert>, ApiError> {
    let filter = Filter::new(query)?;
    let sources = notifier.inhibitor().sources(notifier.state.store.iter(), now);
    let mut found = Vec::new();
    for alert in notifier.state.store.iter() {
        let receivers = notifier.tree().receivers(&alert.labels);
        if !filter.takes_any(notifier, &receivers) {
            continue;
        }
        let status = status(notifier, &sources, alert, now);
        if filter.takes(alert, &status, now) {
            found.push(gettable(alert, status, receivers.into_iter().map(String::from).collect()));
        }
    }
    found.sort_by(|one, two| one.fingerprint.cmp(&two.fingerprint));
    Ok(found)
}

/// `GET /alerts/groups`, in the order of labels and receivers.
///
/// # Errors
/// For a filter that cannot be read.
pub fn groups(notifier: &Notifier, query: &GroupsQuery, now: Timestamp) -> Result<Vec<AlertGroup>, ApiError> {
    let filter = Filter::new(&query.alerts)?;
    let sources = notifier.inhibitor().sources(notifier.state.store.iter(), now);
    let mut shown: Vec<(AlertGroup, Vec<Alert>, Vec<String>)> = Vec::new();
    let mut receivers: BTreeMap<Fingerprint, BTreeSet<String>> = BTreeMap::new();
    for (id, group) in notifier.state.groups.iter() {
        let Some(route) = notifier.tree().route(&id.route) else { continue };
        let receiver = &route.settings.receiver;
        if !filter.takes_receiver(notifier, receiver) {
            continue;
        }
        let taken = |alert: &&Alert| filter.takes(alert, &status(notifier, &sources, alert, now), now);
        let mut alerts: Vec<Alert> = group.alerts.values().filter(taken).cloned().collect();
        if alerts.is_empty() {
            continue;
        }
        alerts.sort_by(Alert::message_order);
        for alert in &alerts {
            receivers.entry(alert.fingerprint()).or_default().insert(receiver.clone());
        }
        let muted = calendar(&notifier.config().time_intervals, &route.settings, now).names().to_vec();
        let shell = AlertGroup {
            labels: id.labels.clone(),
            route_labels: route.settings.labels.clone(),
            receiver: ReceiverReference { name: receiver.clone() },
            alerts: Vec::new(),
        };
        shown.push((shell, alerts, muted));
    }
    shown.retain(|(_, _, muted)| query.muted || muted.is_empty());
    for (group, alerts, muted) in &mut shown {
        group.alerts = alerts
            .iter()
            .map(|alert| {
                let mut status = status(notifier, &sources, alert, now);
                status.muted_by.clone_from(muted);
                if !muted.is_empty() {
                    status.state = AlertState::Suppressed;
                }
                let names = receivers.get(&alert.fingerprint()).into_iter().flatten().cloned().collect();
                gettable(alert, status, names)
            })
            .collect();
    }
    let mut groups: Vec<AlertGroup> = shown.into_iter().map(|(group, ..)| group).collect();
    groups.sort_by(|one, two| {
        one.labels.listing_order(&two.labels).then_with(|| one.receiver.name.cmp(&two.receiver.name))
    });
    Ok(groups)
}

/// `POST /alerts`: takes what is valid.
///
/// # Errors
/// What was wrong with the others, one line each; the valid ones have been taken all the same.
pub fn post_alerts(notifier: &mut Notifier, posted: Vec<PostableAlert>, now: Timestamp) -> Result<(), ApiError> {
    let alerts = posted.into_iter().map(|alert| alert.into_alert(now)).collect();
    let refused: Vec<String> = notifier.receive(alerts, now).into_iter().filter_map(Result::err).collect();
    if refused.is_empty() { Ok(()) } else { Err(ApiError::BadRequest(refused.join("\n"))) }
}

fn silence_order(state: SilenceState, silence: &GettableSilence) -> (SilenceState, i64) {
    let nanos = |time: Timestamp| time.timestamp_micros();
    let within = match state {
        SilenceState::Active => nanos(silence.ends_at),
        SilenceState::Pending => nanos(silence.starts_at),
        SilenceState::Expired => -nanos(silence.ends_at),
    };
    (state, within)
}

/// `GET /silences`: active ones first, those that end soonest first; then pending ones; then expired ones, latest first.
/// A filter asks for a silence that has this very matcher.
///
/// # Errors
/// For a filter that cannot be read.
pub fn silences(notifier: &Notifier, query: &SilencesQuery, now: Timestamp) -> Result<Vec<GettableSilence>, ApiError> {
    let filter = matchers(&query.filter)?;
    let taken = |silence: &&Silence| {
        let state = match silence.state(now) {
            SilenceState::Active => query.active,
            SilenceState::Pending => query.pending,
            SilenceState::Expired => query.expired,
        };
        state && filter.iter().all(|matcher| silence.matchers.contains(matcher))
    };
    let found = notifier.state.silences.iter().filter(taken).map(|silence| GettableSilence::new(silence, now));
    let mut found: Vec<GettableSilence> = found.collect();
    found.sort_by_key(|silence| silence_order(silence.status.state, silence));
    Ok(found)
}

/// `GET /silence/{id}`
///
/// # Errors
/// When there is none.
pub fn silence(notifier: &Notifier, id: &str, now: Timestamp) -> Result<GettableSilence, ApiError> {
    let found = notifier.state.silences.get(id);
    let missing = || ApiError::NotFound(SilenceError::NotFound(id.to_string()).to_string());
    found.map(|silence| GettableSilence::new(silence, now)).ok_or_else(missing)
}

/// `POST /silences`. `entropy` makes the id of a new one.
///
/// # Errors
/// When it is refused.
pub fn post_silence(
    notifier: &mut Notifier,
    posted: PostableSilence,
    now: Timestamp,
    entropy: u128,
) -> Result<PostedSilence, ApiError> {
    let request = posted.into_request(now)?;
    let set = notifier.state.silences.set(request, now, entropy);
    set.map(|silence_id| PostedSilence { silence_id }).map_err(silence_error)
}

/// `DELETE /silence/{id}`
///
/// # Errors
/// When there is none.
pub fn delete_silence(notifier: &mut Notifier, id: &str, now: Timestamp) -> Result<(), ApiError> {
    notifier.state.silences.expire(id, now).map_err(silence_error)
}

fn silence_error(error: SilenceError) -> ApiError {
    match error {
        SilenceError::NotFound(_) => ApiError::NotFound(error.to_string()),
        SilenceError::Invalid(_) | SilenceError::TooMany(_) => ApiError::BadRequest(error.to_string()),
    }
}

/// `GET /receivers`
///
/// # Errors
/// For a filter that cannot be read.
pub fn receivers(notifier: &Notifier, receiver_matchers: &[String]) -> Result<Vec<ApiReceiver>, ApiError> {
    let filter = matchers(receiver_matchers)
        .map_err(|reason| ApiError::BadRequest(format!("failed to parse receiver_matchers param: {reason}")))?;
    let found = notifier.config().receivers.iter().filter(|receiver| passes(&filter, &receiver.labels));
    Ok(found.map(|receiver| ApiReceiver { name: receiver.name.clone(), labels: receiver.labels.clone() }).collect())
}

/// `GET /status`; `started` is when this service was started.
pub fn service_status(notifier: &Notifier, version: VersionInfo, started: Timestamp) -> AlertmanagerStatus {
    AlertmanagerStatus {
        cluster: ClusterStatus { status: "disabled".to_string(), peers: Vec::new() },
        version_info: version,
        config: OriginalConfig { original: notifier.config().redacted() },
        uptime: started,
    }
}
