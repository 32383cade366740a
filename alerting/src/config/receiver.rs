//! A receiver: a name and the integrations behind it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_yaml_ng::Value;

use super::error::{Mistake, Path};
use super::extensions::GenericConfig;
use super::foreign;
use super::global::Global;
use super::integrations::{EmailConfig, PagerDutyConfig, SlackConfig, WebhookConfig};
use super::scalar::{null_default, text_map};

/// Who can be told, and through which channels.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct Receiver {
    pub name: String,
    #[serde(deserialize_with = "text_map")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    pub webhook_configs: Vec<WebhookConfig>,
    #[serde(deserialize_with = "null_default")]
    pub email_configs: Vec<EmailConfig>,
    #[serde(deserialize_with = "null_default")]
    pub pagerduty_configs: Vec<PagerDutyConfig>,
    #[serde(deserialize_with = "null_default")]
    pub slack_configs: Vec<SlackConfig>,
    #[serde(deserialize_with = "null_default")]
    discord_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    incidentio_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    opsgenie_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    wechat_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    pushover_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    victorops_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    sns_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    telegram_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    webex_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    msteams_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    msteamsv2_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    jira_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    rocketchat_configs: Vec<Value>,
    #[serde(deserialize_with = "null_default")]
    mattermost_configs: Vec<Value>,
}

/// One integration of a receiver that is served here.
#[derive(Debug, Clone, Copy)]
pub enum Integration<'a> {
    /// JSON by HTTP.
    Webhook(&'a WebhookConfig),
    /// Mail.
    Email(&'a EmailConfig),
    /// PagerDuty's events.
    PagerDuty(&'a PagerDutyConfig),
    /// Slack.
    Slack(&'a SlackConfig),
    /// A request of any form.
    Generic(&'a GenericConfig),
}

impl Integration<'_> {
    /// Alertmanager's word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Email(_) => "email",
            Self::PagerDuty(_) => "pagerduty",
            Self::Slack(_) => "slack",
            Self::Generic(_) => "generic",
        }
    }

    /// Whether resolved alerts are told.
    pub fn send_resolved(&self) -> bool {
        match self {
            Self::Webhook(config) => config.send_resolved.0,
            Self::Email(config) => config.send_resolved.0,
            Self::PagerDuty(config) => config.send_resolved.0,
            Self::Slack(config) => config.send_resolved.0,
            Self::Generic(config) => config.send_resolved.0,
        }
    }
}

/// Which integration of which receiver: `team-a/slack[1]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntegrationKey {
    /// Name of the receiver.
    pub receiver: String,
    /// Kind, such as `slack`.
    pub kind: String,
    /// Position among those of its kind, from 0.
    pub index: usize,
}

impl IntegrationKey {
    /// Of its parts.
    pub fn new(receiver: &str, kind: &str, index: usize) -> Self {
        Self { receiver: receiver.to_string(), kind: kind.to_string(), index }
    }
}

impl fmt::Display for IntegrationKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}[{}]", self.receiver, self.kind, self.index)
    }
}

impl Receiver {
    /// The integrations served here, in a fixed order, with their keys.
    pub fn integrations(&self) -> Vec<(IntegrationKey, Integration<'_>)> {
        let webhooks = self.webhook_configs.iter().map(Integration::Webhook).enumerate();
        let mails = self.email_configs.iter().map(Integration::Email).enumerate();
        let pagers = self.pagerduty_configs.iter().map(Integration::PagerDuty).enumerate();
        let slacks = self.slack_configs.iter().map(Integration::Slack).enumerate();
        let all = webhooks.chain(mails).chain(pagers).chain(slacks);
        all.map(|(index, integration)| (IntegrationKey::new(&self.name, integration.kind(), index), integration))
            .collect()
    }

    /// The kinds of integrations that only an Alertmanager can serve, with their settings.
    pub fn foreign(&self) -> impl Iterator<Item = (&'static str, &[Value])> {
        [
            ("discord", &self.discord_configs),
            ("incidentio", &self.incidentio_configs),
            ("opsgenie", &self.opsgenie_configs),
            ("wechat", &self.wechat_configs),
            ("pushover", &self.pushover_configs),
            ("victorops", &self.victorops_configs),
            ("sns", &self.sns_configs),
            ("telegram", &self.telegram_configs),
            ("webex", &self.webex_configs),
            ("msteams", &self.msteams_configs),
            ("msteamsv2", &self.msteamsv2_configs),
            ("jira", &self.jira_configs),
            ("rocketchat", &self.rocketchat_configs),
            ("mattermost", &self.mattermost_configs),
        ]
        .into_iter()
        .map(|(kind, configs)| (kind, configs.as_slice()))
    }

    fn foreign_mut(&mut self) -> [(&'static str, &mut Vec<Value>); 14] {
        [
            ("discord", &mut self.discord_configs),
            ("incidentio", &mut self.incidentio_configs),
            ("opsgenie", &mut self.opsgenie_configs),
            ("wechat", &mut self.wechat_configs),
            ("pushover", &mut self.pushover_configs),
            ("victorops", &mut self.victorops_configs),
            ("sns", &mut self.sns_configs),
            ("telegram", &mut self.telegram_configs),
            ("webex", &mut self.webex_configs),
            ("msteams", &mut self.msteams_configs),
            ("msteamsv2", &mut self.msteamsv2_configs),
            ("jira", &mut self.jira_configs),
            ("rocketchat", &mut self.rocketchat_configs),
            ("mattermost", &mut self.mattermost_configs),
        ]
    }

    /// Checks everything and fills in the defaults of `global`.
    pub(super) fn complete(&mut self, global: &Global, at: &Path) -> Result<(), Mistake> {
        if self.name.is_empty() {
            return Err(Mistake::new(at, "missing name in receiver"));
        }
        if self.labels.get("name").is_some_and(|name| *name != self.name) {
            return Err(Mistake::new(&at.key("labels"), "receiver label \"name\" must match the receiver's name"));
        }
        self.labels.insert("name".to_string(), self.name.clone());
        for (index, config) in self.webhook_configs.iter_mut().enumerate() {
            config.complete(global, &at.key("webhook_configs").index(index))?;
        }
        for (index, config) in self.email_configs.iter_mut().enumerate() {
            config.complete(global, &at.key("email_configs").index(index))?;
        }
        for (index, config) in self.slack_configs.iter_mut().enumerate() {
            config.complete(global, &at.key("slack_configs").index(index))?;
        }
        for (index, config) in self.pagerduty_configs.iter_mut().enumerate() {
            config.complete(global, &at.key("pagerduty_configs").index(index))?;
        }
        for (kind, configs) in self.foreign_mut() {
            for (index, config) in configs.iter_mut().enumerate() {
                foreign::check(kind, config, global, &at.key(&format!("{kind}_configs")).index(index))?;
            }
        }
        Ok(())
    }
}
