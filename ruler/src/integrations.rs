//! How the integrations of a configuration are sent: what the outbox needs to know of each.

use std::collections::BTreeMap;
use std::time::Duration;
use tidewatch_alerting::config::http::TlsConfig;
use tidewatch_alerting::config::{Config, EmailConfig, GoDuration, HttpConfig, Integration, Secret as Written};
use tidewatch_notify::http::{Authorization, HttpSettings, Proxy};
use tidewatch_notify::mail::{SmtpAuth, SmtpSettings, SmtpTls};
use tidewatch_notify::{IntegrationSettings, Secret, SecretUrl, TlsSettings};

/// Port at which TLS begins with the first byte.
const SMTPS_PORT: u16 = 465;

/// Settings of every integration by its key, and remarks on what is not supported here.
///
/// # Errors
/// A file with a secret cannot be read, an address is wrong; with the integration's key.
pub fn settings(config: &Config) -> Result<(BTreeMap<String, IntegrationSettings>, Vec<String>), String> {
    let mut remarks = config.unsupported();
    let mut all = BTreeMap::new();
    for receiver in &config.receivers {
        for (key, integration) in config.integrations(&receiver.name) {
            let key = key.to_string();
            let failed = |what: String| format!("{key}: {what}");
            let mut remark = |what: &str| remarks.push(format!("{key}: {what}"));
            let settings = of_integration(integration, &mut remark).map_err(failed)?;
            all.insert(key, settings);
        }
    }
    Ok((all, remarks))
}

fn of_integration(integration: Integration<'_>, remark: &mut dyn FnMut(&str)) -> Result<IntegrationSettings, String> {
    let none = None;
    let (http, timeout): (&Option<HttpConfig>, Option<GoDuration>) = match integration {
        Integration::Email(mail) => {
            let mail = Some(smtp(mail, remark)?);
            return Ok(IntegrationSettings { mail, ..IntegrationSettings::default() });
        }
        Integration::Webhook(hook) => (&hook.http_config, hook.timeout),
        Integration::PagerDuty(pager) => (&pager.http_config, pager.timeout),
        Integration::Slack(slack) => (&slack.http_config, slack.timeout),
        Integration::Generic(_) => (&none, None),
    };
    let mut settings = http.as_ref().map_or_else(|| Ok(HttpSettings::default()), |config| of_http(config, remark))?;
    if let Some(timeout) = timeout.and_then(milliseconds) {
        settings.timeout = timeout;
    }
    if let Integration::Webhook(hook) = integration {
        let url = secret_text(hook.url.as_ref(), hook.url_file.as_ref())?;
        // With template actions it is another address for every message.
        if !url.contains("{{") {
            settings.url = Some(address(&url)?);
        }
    }
    Ok(IntegrationSettings { http: settings, ..IntegrationSettings::default() })
}

fn milliseconds(duration: GoDuration) -> Option<Duration> {
    u64::try_from(duration.nanoseconds).ok().filter(|ns| *ns > 0).map(Duration::from_nanos)
}

fn of_http(config: &HttpConfig, remark: &mut dyn FnMut(&str)) -> Result<HttpSettings, String> {
    let mut settings = HttpSettings::default();
    if let Some(basic) = &config.basic_auth {
        let user = plain_text(basic.username.as_ref(), basic.username_file.as_ref())?;
        let password = secret_text(basic.password.as_ref(), basic.password_file.as_ref())?;
        settings.authorization = Some(Authorization::Basic { user, password: Secret::new(password) });
    }
    let bearer = secret_text(config.bearer_token.as_ref(), config.bearer_token_file.as_ref())?;
    if !bearer.is_empty() {
        settings.authorization = Some(Authorization::Bearer(Secret::new(bearer)));
    }
    if let Some(authorization) = &config.authorization {
        let credentials = secret_text(authorization.credentials.as_ref(), authorization.credentials_file.as_ref())?;
        match authorization.kind.as_deref().unwrap_or("Bearer") {
            "Bearer" => settings.authorization = Some(Authorization::Bearer(Secret::new(credentials))),
            kind => {
                let value = Secret::new(format!("{kind} {credentials}"));
                settings.headers.push(("Authorization".to_owned(), value));
            }
        }
    }
    for (name, values) in config.http_headers.iter().flatten() {
        let plain = values.values.iter().map(|value| Secret::new(value.clone()));
        let secret = values.secrets.iter().map(|value| Secret::new(value.reveal()));
        settings.headers.extend(plain.chain(secret).map(|value| (name.clone(), value)));
        for file in &values.files {
            settings.headers.push((name.clone(), Secret::new(read(file)?)));
        }
    }
    if config.oauth2.is_some() {
        remark("oauth2 is not supported: requests go out without a token");
    }
    if let Some(tls) = &config.tls_config {
        settings.tls = of_tls(tls, remark);
    }
    let proxy = secret_text(config.proxy_url.as_ref(), None)?;
    if !proxy.is_empty() {
        settings.proxy = Proxy::Url(address(&proxy)?);
    } else if config.proxy_from_environment.is_some_and(|flag| flag.0) {
        settings.proxy = Proxy::Environment;
    }
    Ok(settings)
}

fn of_tls(config: &TlsConfig, remark: &mut dyn FnMut(&str)) -> TlsSettings {
    if config.cert.is_some() || config.cert_file.is_some() {
        remark("client certificates are not supported");
    }
    if config.ca.is_some() {
        remark("tls_config.ca is not supported: put it into a file and name it by ca_file");
    }
    TlsSettings {
        ca_file: config.ca_file.as_ref().map(Into::into),
        skip_verify: config.insecure_skip_verify.is_some_and(|flag| flag.0),
    }
}

fn smtp(config: &EmailConfig, remark: &mut dyn FnMut(&str)) -> Result<SmtpSettings, String> {
    let smarthost = config.smarthost.as_deref().unwrap_or_default();
    let (host, port) = smarthost.rsplit_once(':').ok_or("smarthost: expected host:port")?;
    let port: u16 = port.parse().map_err(|_| format!("smarthost: {port:?} is no port"))?;
    let implicit = config.force_implicit_tls.map_or(port == SMTPS_PORT, |flag| flag.0);
    let start = config.require_tls.is_none_or(|flag| flag.0);
    let user = config.auth_username.clone().filter(|user| !user.is_empty());
    if config.auth_secret.is_some() || config.auth_secret_file.is_some() {
        remark("CRAM-MD5 (auth_secret) is not supported: set auth_password");
    }
    let auth = user.map(|user| {
        let password = secret_text(config.auth_password.as_ref(), config.auth_password_file.as_ref())?;
        Ok::<_, String>(SmtpAuth { user, password: Secret::new(password) })
    });
    Ok(SmtpSettings {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        encryption: match (implicit, start) {
            (true, _) => SmtpTls::Implicit,
            (false, true) => SmtpTls::StartTls,
            (false, false) => SmtpTls::None,
        },
        tls: config.tls_config.as_ref().map(|tls| of_tls(tls, remark)).unwrap_or_default(),
        auth: auth.transpose()?,
        hello: config.hello.clone().filter(|hello| !hello.is_empty()),
        ..SmtpSettings::default()
    })
}

fn address(text: &str) -> Result<SecretUrl, String> {
    SecretUrl::parse(text).map_err(|error| format!("url: {error}"))
}

fn plain_text(inline: Option<&String>, file: Option<&String>) -> Result<String, String> {
    match (inline, file) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(file)) => read(file),
        (None, None) => Ok(String::new()),
    }
}

/// What is written in the configuration or in the file that it names; nothing, if neither is.
///
/// # Errors
/// The file cannot be read.
pub fn secret_text(inline: Option<&Written>, file: Option<&String>) -> Result<String, String> {
    match (inline.filter(|secret| !secret.is_empty()), file.filter(|file| !file.is_empty())) {
        (Some(secret), _) => Ok(secret.reveal().to_owned()),
        (None, Some(file)) => read(file),
        (None, None) => Ok(String::new()),
    }
}

fn read(file: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    Ok(text.trim().to_owned())
}
