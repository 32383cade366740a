//! The integrations that are served here: Slack, e-mail, webhook, PagerDuty.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::check_url;
use super::error::{Mistake, Path};
use super::global::Global;
use super::http::{HttpConfig, TlsConfig};
use super::scalar::{Flag, GoDuration, REDACTED, Secret, null_default, text_map};

/// Address of Slack's method for new messages.
pub(crate) const SLACK_POST: &str = "https://slack.com/api/chat.postMessage";

pub(super) fn given(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

pub(super) fn given_secret(secret: Option<&Secret>) -> bool {
    secret.is_some_and(|secret| !secret.is_empty())
}

/// Refuses an inline value together with a file.
pub(super) fn one_of(at: &Path, key: &str, inline: bool, file: Option<&String>) -> Result<(), Mistake> {
    if inline && given(file.map(String::as_str)) {
        return Err(Mistake::new(&at.key(key), format!("at most one of {key} & {key}_file must be configured")));
    }
    Ok(())
}

pub(super) fn check_host_port(text: &str, at: &Path) -> Result<(), Mistake> {
    let wrong =
        |message: &str| Err(Mistake::new(at, format!("address {text:?}: {message}")).hint("expected host:port"));
    if text.is_empty() {
        return Ok(());
    }
    match text.rsplit_once(':') {
        None => wrong("missing port in address"),
        Some((_, "")) => wrong("port cannot be empty"),
        Some((host, _)) if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) => {
            wrong("too many colons in address")
        }
        Some(_) => Ok(()),
    }
}

fn check_secret_url(secret: Option<&Secret>, at: &Path) -> Result<(), Mistake> {
    match secret.map(Secret::reveal) {
        None | Some(REDACTED) => Ok(()),
        Some(text) => check_url(text).map_err(|reason| Mistake::new(at, reason)),
    }
}

/// One Slack channel to tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct SlackConfig {
    pub send_resolved: Flag,
    pub http_config: Option<HttpConfig>,
    pub api_url: Option<Secret>,
    pub api_url_file: Option<String>,
    pub app_token: Option<Secret>,
    pub app_token_file: Option<String>,
    pub app_url: Option<String>,
    pub channel: Option<String>,
    pub username: Option<String>,
    pub color: Option<String>,
    pub title: Option<String>,
    pub title_link: Option<String>,
    pub pretext: Option<String>,
    pub text: Option<String>,
    pub message_text: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub fields: Vec<SlackField>,
    pub short_fields: Flag,
    pub footer: Option<String>,
    pub fallback: Option<String>,
    pub callback_id: Option<String>,
    pub icon_emoji: Option<String>,
    pub icon_url: Option<String>,
    pub image_url: Option<String>,
    pub thumb_url: Option<String>,
    pub link_names: Flag,
    #[serde(deserialize_with = "null_default")]
    pub mrkdwn_in: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub actions: Vec<SlackAction>,
    pub update_message: Flag,
    pub timeout: Option<GoDuration>,
}

/// A field of a Slack attachment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct SlackField {
    pub title: Option<String>,
    pub value: Option<String>,
    pub short: Option<Flag>,
}

/// A button under a Slack message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct SlackAction {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub text: Option<String>,
    pub url: Option<String>,
    pub style: Option<String>,
    pub name: Option<String>,
    pub value: Option<String>,
    pub confirm: Option<SlackConfirm>,
}

/// A question before a button acts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct SlackConfirm {
    pub text: Option<String>,
    pub title: Option<String>,
    pub ok_text: Option<String>,
    pub dismiss_text: Option<String>,
}

impl SlackConfig {
    pub(super) fn complete(&mut self, global: &Global, at: &Path) -> Result<(), Mistake> {
        self.validate(at)?;
        self.app_url = self.app_url.take().or_else(|| global.slack_app_url.clone());
        let own_token = given_secret(self.app_token.as_ref()) || given(self.app_token_file.as_deref());
        let authorized = self.http_config.as_ref().is_some_and(HttpConfig::has_authorization);
        if !own_token && !authorized && self.api_url.is_none() {
            self.app_token.clone_from(&global.slack_app_token);
            self.app_token_file.clone_from(&global.slack_app_token_file);
        }
        if self.api_url.is_none() && !given(self.api_url_file.as_deref()) {
            self.api_url.clone_from(&global.slack_api_url);
            self.api_url_file.clone_from(&global.slack_api_url_file);
        }
        let token = given_secret(self.app_token.as_ref()) || given(self.app_token_file.as_deref());
        if !token && self.api_url.is_none() && !given(self.api_url_file.as_deref()) {
            return Err(Mistake::new(at, "no Slack API URL nor App token set either inline or in a file")
                .hint("set api_url or app_token here, or slack_api_url under `global`"));
        }
        let http = self.http_config.get_or_insert_with(|| global.http_config.clone().unwrap_or_default());
        if token && http.has_authorization() {
            return Err(Mistake::new(at, "http authorization can't be set when using Slack App tokens"));
        }
        Ok(())
    }

    /// Whether messages go to Slack's API with a token, so that they can be edited later.
    pub fn has_token(&self) -> bool {
        given_secret(self.app_token.as_ref()) || given(self.app_token_file.as_deref())
    }

    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        one_of(at, "api_url", self.api_url.is_some(), self.api_url_file.as_ref())?;
        one_of(at, "app_token", given_secret(self.app_token.as_ref()), self.app_token_file.as_ref())?;
        let address = self.api_url.is_some() || given(self.api_url_file.as_deref());
        if address && self.has_token() {
            let message = "at most one of api_url/api_url_file & app_token/app_token_file must be configured";
            return Err(Mistake::new(at, message));
        }
        check_secret_url(self.api_url.as_ref(), &at.key("api_url"))?;
        if let Some(address) = &self.app_url {
            check_url(address).map_err(|reason| Mistake::new(&at.key("app_url"), reason))?;
        }
        if self.update_message.0 && self.api_url.as_ref().map(Secret::reveal) != Some(SLACK_POST) {
            return Err(Mistake::new(&at.key("update_message"), "update_message can only be used with bot tokens")
                .hint(format!("set api_url to {SLACK_POST}")));
        }
        if let Some(http) = &self.http_config {
            http.validate(&at.key("http_config"))?;
        }
        for (index, field) in self.fields.iter().enumerate() {
            for (name, value) in [("title", &field.title), ("value", &field.value)] {
                if !given(value.as_deref()) {
                    let at = at.key("fields").index(index);
                    return Err(Mistake::new(&at, format!("missing {name} in Slack field configuration")));
                }
            }
        }
        self.actions.iter().enumerate().try_for_each(|(index, action)| action.validate(&at.key("actions").index(index)))
    }
}

impl SlackAction {
    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let missing = |what: &str| Err(Mistake::new(at, format!("missing {what} in Slack action configuration")));
        if !given(self.kind.as_deref()) {
            return missing("type");
        }
        if !given(self.text.as_deref()) {
            return missing("text");
        }
        if !given(self.url.as_deref()) && !given(self.name.as_deref()) {
            return missing("name or url");
        }
        if self.confirm.as_ref().is_some_and(|confirm| !given(confirm.text.as_deref())) {
            return missing("text of confirm");
        }
        Ok(())
    }
}

/// One mail address to tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct EmailConfig {
    pub send_resolved: Flag,
    pub to: Option<String>,
    pub from: Option<String>,
    pub hello: Option<String>,
    pub smarthost: Option<String>,
    pub auth_username: Option<String>,
    pub auth_password: Option<Secret>,
    pub auth_password_file: Option<String>,
    pub auth_secret: Option<Secret>,
    pub auth_secret_file: Option<String>,
    pub auth_identity: Option<String>,
    #[serde(deserialize_with = "text_map")]
    pub headers: BTreeMap<String, String>,
    pub html: Option<String>,
    pub text: Option<String>,
    pub require_tls: Option<Flag>,
    pub tls_config: Option<TlsConfig>,
    pub force_implicit_tls: Option<Flag>,
    pub threading: Option<Threading>,
}

/// Whether mails of one group form a thread.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct Threading {
    pub enabled: Flag,
    pub thread_by_date: Option<String>,
}

impl EmailConfig {
    pub(super) fn complete(&mut self, global: &Global, at: &Path) -> Result<(), Mistake> {
        self.validate(at)?;
        let or = |own: &mut Option<String>, default: &Option<String>| {
            if !given(own.as_deref()) {
                own.clone_from(default);
            }
            given(own.as_deref())
        };
        if !or(&mut self.smarthost, &global.smtp_smarthost) {
            return Err(Mistake::new(at, "no global SMTP smarthost set").hint("set smtp_smarthost under `global`"));
        }
        if !or(&mut self.from, &global.smtp_from) {
            return Err(Mistake::new(at, "no global SMTP from set").hint("set smtp_from under `global`"));
        }
        or(&mut self.hello, &global.smtp_hello);
        or(&mut self.auth_username, &global.smtp_auth_username);
        or(&mut self.auth_identity, &global.smtp_auth_identity);
        if !given_secret(self.auth_password.as_ref()) && !given(self.auth_password_file.as_deref()) {
            self.auth_password.clone_from(&global.smtp_auth_password);
            self.auth_password_file.clone_from(&global.smtp_auth_password_file);
        }
        if !given_secret(self.auth_secret.as_ref()) && !given(self.auth_secret_file.as_deref()) {
            self.auth_secret.clone_from(&global.smtp_auth_secret);
            self.auth_secret_file.clone_from(&global.smtp_auth_secret_file);
        }
        self.tls_config = self.tls_config.take().or_else(|| global.smtp_tls_config.clone());
        self.require_tls.get_or_insert(global.smtp_require_tls);
        self.force_implicit_tls = self.force_implicit_tls.or(global.smtp_force_implicit_tls);
        Ok(())
    }

    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        if !given(self.to.as_deref()) {
            return Err(Mistake::new(at, "missing to address in email config"));
        }
        let mut names = BTreeSet::new();
        for name in self.headers.keys() {
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(Mistake::new(
                    &at.key("headers").key(name),
                    format!("duplicate header {name:?} in email config"),
                ));
            }
        }
        if let Some(host) = &self.smarthost {
            check_host_port(host, &at.key("smarthost"))?;
        }
        if let Some(tls) = &self.tls_config {
            tls.validate(&at.key("tls_config"))?;
        }
        let Some(threading) = self.threading.as_ref().filter(|threading| threading.enabled.0) else { return Ok(()) };
        let at = at.key("threading");
        if let Some(name) = ["references", "in-reply-to"].into_iter().find(|name| names.contains(*name)) {
            return Err(Mistake::new(&at, format!("threading.enabled conflicts with the custom header {name:?}")));
        }
        if !matches!(threading.thread_by_date.as_deref(), Some("none" | "daily")) {
            return Err(Mistake::new(&at, "threading.thread_by_date must be either 'none' or 'daily'"));
        }
        Ok(())
    }
}

/// One address that takes JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct WebhookConfig {
    pub send_resolved: Flag,
    pub http_config: Option<HttpConfig>,
    pub url: Option<Secret>,
    pub url_file: Option<String>,
    pub max_alerts: u64,
    pub timeout: Option<GoDuration>,
    pub payload: Option<serde_yaml_ng::Value>,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            send_resolved: Flag(true),
            http_config: None,
            url: None,
            url_file: None,
            max_alerts: 0,
            timeout: None,
            payload: None,
        }
    }
}

impl WebhookConfig {
    pub(super) fn complete(&mut self, global: &Global, at: &Path) -> Result<(), Mistake> {
        let url = self.url.as_ref().map(Secret::reveal).unwrap_or_default();
        match (url.is_empty(), given(self.url_file.as_deref())) {
            (true, false) => return Err(Mistake::new(at, "one of url or url_file must be configured")),
            (false, true) => return Err(Mistake::new(at, "at most one of url & url_file must be configured")),
            _ => {}
        }
        if !url.is_empty() && url != REDACTED && !url.contains("{{") {
            check_url(url).map_err(|reason| Mistake::new(&at.key("url"), reason))?;
        }
        if let Some(http) = &self.http_config {
            http.validate(&at.key("http_config"))?;
        }
        self.http_config = self.http_config.take().or_else(|| global.http_config.clone());
        Ok(())
    }
}

/// One PagerDuty service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct PagerDutyConfig {
    pub send_resolved: Flag,
    pub http_config: Option<HttpConfig>,
    pub service_key: Option<Secret>,
    pub service_key_file: Option<String>,
    pub routing_key: Option<Secret>,
    pub routing_key_file: Option<String>,
    pub url: Option<String>,
    pub client: Option<String>,
    pub client_url: Option<String>,
    pub description: Option<String>,
    #[serde(deserialize_with = "null_default")]
    pub details: BTreeMap<String, serde_yaml_ng::Value>,
    #[serde(deserialize_with = "null_default")]
    pub images: Vec<PagerDutyImage>,
    #[serde(deserialize_with = "null_default")]
    pub links: Vec<PagerDutyLink>,
    pub source: Option<String>,
    pub severity: Option<String>,
    pub class: Option<String>,
    pub component: Option<String>,
    pub group: Option<String>,
    pub timeout: Option<GoDuration>,
}

/// A picture in a PagerDuty event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct PagerDutyImage {
    pub src: Option<String>,
    pub alt: Option<String>,
    pub href: Option<String>,
}

/// A page in a PagerDuty event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct PagerDutyLink {
    pub href: Option<String>,
    pub text: Option<String>,
}

impl Default for PagerDutyConfig {
    fn default() -> Self {
        Self {
            send_resolved: Flag(true),
            http_config: None,
            service_key: None,
            service_key_file: None,
            routing_key: None,
            routing_key_file: None,
            url: None,
            client: None,
            client_url: None,
            description: None,
            details: BTreeMap::new(),
            images: Vec::new(),
            links: Vec::new(),
            source: None,
            severity: None,
            class: None,
            component: None,
            group: None,
            timeout: None,
        }
    }
}

impl PagerDutyConfig {
    pub(super) fn complete(&mut self, global: &Global, at: &Path) -> Result<(), Mistake> {
        let (routing, service) = (given_secret(self.routing_key.as_ref()), given_secret(self.service_key.as_ref()));
        if !routing && !service && !given(self.routing_key_file.as_deref()) && !given(self.service_key_file.as_deref())
        {
            return Err(Mistake::new(at, "missing service or routing key in PagerDuty config"));
        }
        one_of(at, "routing_key", routing, self.routing_key_file.as_ref())?;
        one_of(at, "service_key", service, self.service_key_file.as_ref())?;
        if let Some(address) = &self.url {
            check_url(address).map_err(|reason| Mistake::new(&at.key("url"), reason))?;
        }
        if let Some(http) = &self.http_config {
            http.validate(&at.key("http_config"))?;
        }
        self.http_config = self.http_config.take().or_else(|| global.http_config.clone());
        self.url = self.url.take().or_else(|| global.pagerduty_url.clone());
        Ok(())
    }
}
