//! The `global` section: defaults for receivers.

use serde::{Deserialize, Serialize};

use super::check_url;
use super::error::{Mistake, Path};
use super::http::{HttpConfig, TlsConfig};
use super::integrations::{check_host_port, given, given_secret};
use super::scalar::{Flag, PromDuration, Secret};

/// Defaults for all receivers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct Global {
    pub resolve_timeout: PromDuration,
    pub http_config: Option<HttpConfig>,
    pub jira_api_url: Option<String>,
    pub smtp_from: Option<String>,
    pub smtp_hello: Option<String>,
    pub smtp_smarthost: Option<String>,
    pub smtp_auth_username: Option<String>,
    pub smtp_auth_password: Option<Secret>,
    pub smtp_auth_password_file: Option<String>,
    pub smtp_auth_secret: Option<Secret>,
    pub smtp_auth_secret_file: Option<String>,
    pub smtp_auth_identity: Option<String>,
    pub smtp_require_tls: Flag,
    pub smtp_tls_config: Option<TlsConfig>,
    pub smtp_force_implicit_tls: Option<Flag>,
    pub slack_api_url: Option<Secret>,
    pub slack_api_url_file: Option<String>,
    pub slack_app_token: Option<Secret>,
    pub slack_app_token_file: Option<String>,
    pub slack_app_url: Option<String>,
    pub pagerduty_url: Option<String>,
    pub opsgenie_api_url: Option<String>,
    pub opsgenie_api_key: Option<Secret>,
    pub opsgenie_api_key_file: Option<String>,
    pub wechat_api_url: Option<String>,
    pub wechat_api_secret: Option<Secret>,
    pub wechat_api_secret_file: Option<String>,
    pub wechat_api_corp_id: Option<String>,
    pub victorops_api_url: Option<String>,
    pub victorops_api_key: Option<Secret>,
    pub victorops_api_key_file: Option<String>,
    pub telegram_api_url: Option<String>,
    pub telegram_bot_token: Option<Secret>,
    pub telegram_bot_token_file: Option<String>,
    pub webex_api_url: Option<String>,
    pub rocketchat_api_url: Option<String>,
    pub rocketchat_token: Option<Secret>,
    pub rocketchat_token_file: Option<String>,
    pub rocketchat_token_id: Option<Secret>,
    pub rocketchat_token_id_file: Option<String>,
    pub mattermost_webhook_url: Option<Secret>,
    pub mattermost_webhook_url_file: Option<String>,
}

impl Default for Global {
    fn default() -> Self {
        let address = |text: &str| Some(text.to_string());
        Self {
            resolve_timeout: PromDuration::seconds(300),
            http_config: None,
            jira_api_url: None,
            smtp_from: None,
            smtp_hello: address("localhost"),
            smtp_smarthost: None,
            smtp_auth_username: None,
            smtp_auth_password: None,
            smtp_auth_password_file: None,
            smtp_auth_secret: None,
            smtp_auth_secret_file: None,
            smtp_auth_identity: None,
            smtp_require_tls: Flag(true),
            smtp_tls_config: None,
            smtp_force_implicit_tls: None,
            slack_api_url: None,
            slack_api_url_file: None,
            slack_app_token: None,
            slack_app_token_file: None,
            slack_app_url: address("https://slack.com/api/chat.postMessage"),
            pagerduty_url: address("https://events.pagerduty.com/v2/enqueue"),
            opsgenie_api_url: address("https://api.opsgenie.com/"),
            opsgenie_api_key: None,
            opsgenie_api_key_file: None,
            wechat_api_url: address("https://qyapi.weixin.qq.com/cgi-bin/"),
            wechat_api_secret: None,
            wechat_api_secret_file: None,
            wechat_api_corp_id: None,
            victorops_api_url: address("https://alert.victorops.com/integrations/generic/20131114/alert/"),
            victorops_api_key: None,
            victorops_api_key_file: None,
            telegram_api_url: address("https://api.telegram.org"),
            telegram_bot_token: None,
            telegram_bot_token_file: None,
            webex_api_url: address("https://webexapis.com/v1/messages"),
            rocketchat_api_url: address("https://open.rocket.chat/"),
            rocketchat_token: None,
            rocketchat_token_file: None,
            rocketchat_token_id: None,
            rocketchat_token_id_file: None,
            mattermost_webhook_url: None,
            mattermost_webhook_url_file: None,
        }
    }
}

impl Global {
    pub(super) fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let pairs = [
            ("slack_app_token", given_secret(self.slack_app_token.as_ref()), &self.slack_app_token_file),
            ("slack_api_url", self.slack_api_url.is_some(), &self.slack_api_url_file),
            ("opsgenie_api_key", given_secret(self.opsgenie_api_key.as_ref()), &self.opsgenie_api_key_file),
            ("victorops_api_key", given_secret(self.victorops_api_key.as_ref()), &self.victorops_api_key_file),
            ("telegram_bot_token", given_secret(self.telegram_bot_token.as_ref()), &self.telegram_bot_token_file),
            ("smtp_auth_password", given_secret(self.smtp_auth_password.as_ref()), &self.smtp_auth_password_file),
            ("rocketchat_token", self.rocketchat_token.is_some(), &self.rocketchat_token_file),
            ("rocketchat_token_id", self.rocketchat_token_id.is_some(), &self.rocketchat_token_id_file),
            ("smtp_auth_secret", given_secret(self.smtp_auth_secret.as_ref()), &self.smtp_auth_secret_file),
            ("wechat_api_secret", given_secret(self.wechat_api_secret.as_ref()), &self.wechat_api_secret_file),
            ("mattermost_webhook_url", self.mattermost_webhook_url.is_some(), &self.mattermost_webhook_url_file),
        ];
        for (key, inline, file) in pairs {
            if inline && given(file.as_deref()) {
                let message = format!("at most one of {key} & {key}_file must be configured");
                return Err(Mistake::new(&at.key(key), message));
            }
        }
        self.validate_slack(at)?;
        self.validate_addresses(at)?;
        if let Some(http) = &self.http_config {
            http.validate(&at.key("http_config"))?;
        }
        if let Some(tls) = &self.smtp_tls_config {
            tls.validate(&at.key("smtp_tls_config"))?;
        }
        match &self.smtp_smarthost {
            Some(host) => check_host_port(host, &at.key("smtp_smarthost")),
            None => Ok(()),
        }
    }

    /// A token and an address exclude each other, unless the address is the one that tokens are used with.
    fn validate_slack(&self, at: &Path) -> Result<(), Mistake> {
        let token = given_secret(self.slack_app_token.as_ref()) || given(self.slack_app_token_file.as_deref());
        let address = self.slack_api_url.is_some() || given(self.slack_api_url_file.as_deref());
        let same = self.slack_api_url.as_ref().map(Secret::reveal) == self.slack_app_url.as_deref();
        if token && address && !same {
            let message = "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured";
            return Err(Mistake::new(&at.key("slack_api_url"), message));
        }
        Ok(())
    }

    fn validate_addresses(&self, at: &Path) -> Result<(), Mistake> {
        let plain = [
            ("jira_api_url", &self.jira_api_url),
            ("slack_app_url", &self.slack_app_url),
            ("pagerduty_url", &self.pagerduty_url),
            ("opsgenie_api_url", &self.opsgenie_api_url),
            ("wechat_api_url", &self.wechat_api_url),
            ("victorops_api_url", &self.victorops_api_url),
            ("telegram_api_url", &self.telegram_api_url),
            ("webex_api_url", &self.webex_api_url),
            ("rocketchat_api_url", &self.rocketchat_api_url),
        ];
        let secret = [("slack_api_url", &self.slack_api_url), ("mattermost_webhook_url", &self.mattermost_webhook_url)];
        let all = plain.into_iter().filter_map(|(key, address)| Some((key, address.as_deref()?)));
        for (key, address) in
            all.chain(secret.into_iter().filter_map(|(key, address)| Some((key, address.as_ref()?.reveal()))))
        {
            if address != super::scalar::REDACTED {
                check_url(address).map_err(|reason| Mistake::new(&at.key(key), reason))?;
            }
        }
        Ok(())
    }
}
