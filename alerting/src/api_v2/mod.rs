//! Alertmanager's HTTP API, version 2: bodies and queries as functions of the machine's state. No HTTP here: errors say
//! which status they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::route::alert::{Alert, AlertDetail, Timestamp};
use crate::route::labels::Labels;
use crate::route::matcher::{MatchOp, Matcher};
use crate::silence::{Silence, SilenceRequest, SilenceState};

pub mod query;

pub use query::{AlertsQuery, ApiError, GroupsQuery, SilencesQuery};

/// `gettableAlert`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct GettableAlert {
    pub labels: Labels,
    #[serde(rename = "generatorURL", default, skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
    pub annotations: Labels,
    pub receivers: Vec<ReceiverReference>,
    pub fingerprint: String,
    pub starts_at: Timestamp,
    pub updated_at: Timestamp,
    pub ends_at: Timestamp,
    pub status: AlertStatus,
}

/// `alertStatus`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct AlertStatus {
    pub state: AlertState,
    pub silenced_by: Vec<String>,
    pub inhibited_by: Vec<String>,
    #[serde(default)]
    pub muted_by: Vec<String>,
    /// Whether it changes too often and is held as firing. Alertmanager has no such thing, and its clients pass over
    /// fields that they do not know; left out when it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flapping: bool,
}

/// State of an alert for the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// No flush has dealt with it yet.
    Unprocessed,
    /// It is told.
    Active,
    /// It is muted.
    Suppressed,
}

/// `receiverReference`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct ReceiverReference {
    pub name: String,
}

/// `receiver`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct ApiReceiver {
    pub name: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `postableAlert`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct PostableAlert {
    pub labels: Labels,
    pub annotations: Labels,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
}

impl PostableAlert {
    /// The alert that was posted at `now`. A missing start is the end, if there is one, else `now`; a time in the year 1
    /// is a missing one.
    pub fn into_alert(self, now: Timestamp) -> Alert {
        let given = |time: Option<Timestamp>| time.filter(|time| time.timestamp() > -62_135_596_800);
        let ends_at = given(self.ends_at);
        Alert {
            labels: self.labels,
            annotations: self.annotations,
            starts_at: given(self.starts_at).or(ends_at).unwrap_or(now),
            ends_at,
            updated_at: now,
            timeout: false,
            generator_url: self.generator_url,
            detail: AlertDetail::default(),
        }
    }
}

/// `alertGroup`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct AlertGroup {
    pub labels: Labels,
    #[serde(default)]
    pub route_labels: Labels,
    pub receiver: ReceiverReference,
    pub alerts: Vec<GettableAlert>,
}

/// `matcher`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct ApiMatcher {
    pub name: String,
    pub value: String,
    pub is_regex: bool,
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// `gettableSilence`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct GettableSilence {
    pub id: String,
    pub status: SilenceStatus,
    pub updated_at: Timestamp,
    pub matchers: Vec<ApiMatcher>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub created_by: String,
    pub comment: String,
    #[serde(default)]
    pub annotations: Labels,
}

/// `silenceStatus`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct SilenceStatus {
    pub state: SilenceState,
}

impl GettableSilence {
    /// A silence as the API shows it at `now`.
    pub fn new(silence: &Silence, now: Timestamp) -> Self {
        let matchers = silence.matchers.iter().map(|matcher| ApiMatcher {
            name: matcher.name().to_string(),
            value: matcher.value().to_string(),
            is_regex: matcher.op().is_regex(),
            is_equal: matcher.op().is_equal(),
        });
        Self {
            id: silence.id.clone(),
            status: SilenceStatus { state: silence.state(now) },
            updated_at: silence.updated_at,
            matchers: matchers.collect(),
            starts_at: silence.starts_at,
            ends_at: silence.ends_at,
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            annotations: silence.annotations.clone(),
        }
    }
}

/// `postableSilence`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct PostableSilence {
    #[serde(default)]
    pub id: Option<String>,
    pub matchers: Vec<ApiMatcher>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub created_by: String,
    pub comment: String,
    #[serde(default)]
    pub annotations: Option<Labels>,
}

impl PostableSilence {
    /// The request as the machine takes it.
    ///
    /// # Errors
    /// For times or expressions that the API refuses.
    pub fn into_request(self, now: Timestamp) -> Result<SilenceRequest, ApiError> {
        let refused = |reason: &str| Err(ApiError::BadRequest(format!("Failed to create silence: {reason}")));
        if self.starts_at >= self.ends_at {
            return refused("start time must be before end time");
        }
        if self.ends_at < now {
            return refused("end time can't be in the past");
        }
        let matchers = self.matchers.into_iter().map(|matcher| {
            Matcher::new(MatchOp::from_flags(matcher.is_equal, matcher.is_regex), matcher.name, matcher.value)
        });
        let matchers: Result<Vec<Matcher>, String> = matchers.collect();
        Ok(SilenceRequest {
            id: self.id.filter(|id| !id.is_empty()),
            matchers: matchers.map_err(ApiError::BadRequest)?,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            created_by: self.created_by,
            comment: self.comment,
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

/// Reply to a posted silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct PostedSilence {
    #[serde(rename = "silenceID")]
    pub silence_id: String,
}

/// `alertmanagerStatus`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct AlertmanagerStatus {
    pub cluster: ClusterStatus,
    pub version_info: VersionInfo,
    pub config: OriginalConfig,
    pub uptime: Timestamp,
}

/// `clusterStatus`; there is no cluster, so it is always `disabled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct ClusterStatus {
    pub status: String,
    #[serde(default)]
    pub peers: Vec<BTreeMap<String, String>>,
}

/// `versionInfo`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct VersionInfo {
    pub version: String,
    pub revision: String,
    pub branch: String,
    pub build_user: String,
    pub build_date: String,
    pub go_version: String,
}

/// `alertmanagerConfig`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named and documented by Alertmanager's OpenAPI")]
pub struct OriginalConfig {
    pub original: String,
}

#[cfg(test)]
mod tests;
