//! From a notification to a message in the outbox.

use crate::integrations::secret_text;
use crate::templates::TemplateBook;
use tidewatch_alerting::config::{Config, Integration, Secret as Written, SlackConfig};
use tidewatch_alerting::escalation::DigestMail;
use tidewatch_alerting::notification_log::{LogKey, NotificationLog};
use tidewatch_alerting::receiver::email::{self, Mail};
use tidewatch_alerting::receiver::slack::Posted;
use tidewatch_alerting::receiver::{self, HttpMessage as Built, Message, generic, pagerduty, slack, webhook};
use tidewatch_alerting::route::Notification;
use tidewatch_notify::message::{Envelope, MailContent};
use tidewatch_notify::{
    HttpMessage, HttpReply, MailMessage, MailParts, Outgoing, Payload, Reference, Secret, SecretUrl,
};

/// Under this name the notification log keeps the key of the Slack message that later ones of the series change.
const SLACK_KEY: &str = "slack_key";

/// What messages are made with.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Its templates.
    pub templates: &'a TemplateBook,
    /// Address of this service, for links.
    pub external_url: &'a str,
    /// After so many milliseconds a message is given up.
    pub give_up_ms: i64,
}

/// A message with what is to be said about how it was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The message.
    pub outgoing: Outgoing,
    /// What went wrong with templates, what was cut.
    pub remarks: Vec<String>,
}

/// The message of a notification. `log` keeps what the next message of the series needs.
///
/// # Errors
/// Why none can be made; a person must change the configuration.
pub fn make(notification: &Notification, around: &Around<'_>, log: &mut NotificationLog) -> Result<Made, String> {
    let message = Message { notification, external_url: around.external_url.trim_end_matches('/') };
    let integration = around.config.integration(&notification.integration);
    let templates = around.templates;
    let mut remarks = Vec::new();
    let key = message.idempotency_key();
    let payload = match integration.ok_or("the integration is not in the configuration any more")? {
        Integration::Webhook(config) => {
            let signing = signature_key(around.config, message.receiver())?;
            let built = webhook::build(&message, config, signing.as_ref(), templates);
            let fixed = config.url.as_ref().is_none_or(|url| !url.reveal().contains("{{"));
            http(built, HttpReply::plain(), !fixed, &mut remarks)?
        }
        Integration::Generic(config) => {
            http(generic::build(&message, config, templates), HttpReply::plain(), true, &mut remarks)?
        }
        Integration::PagerDuty(config) => {
            let routing = secret_text(config.routing_key.as_ref(), config.routing_key_file.as_ref())?;
            let service = secret_text(config.service_key.as_ref(), config.service_key_file.as_ref())?;
            let routing = Written::new(if routing.is_empty() { service } else { routing });
            let built = pagerduty::build(&message, config, &routing, templates);
            http(built, HttpReply::pager_duty(), true, &mut remarks)?
        }
        Integration::Slack(config) => slack_message(&message, config, &key, around, log, &mut remarks)?,
        Integration::Email(config) => {
            let domain = domain(around.external_url);
            mail(email::build(&message, config, &domain, templates), &mut remarks)?
        }
    };
    let created_ms = notification.now.timestamp_millis();
    let outgoing = Outgoing {
        key,
        order_key: order_key(notification),
        integration: notification.integration.to_string(),
        created_ms,
        give_up_ms: created_ms.saturating_add(around.give_up_ms),
        payload,
    };
    Ok(Made { outgoing, remarks })
}

/// Messages of one group to one integration keep their order.
fn order_key(notification: &Notification) -> String {
    receiver::idempotency_key(&[&notification.group_key, &notification.integration.to_string()])
}

fn http(built: Built, reply: HttpReply, own_url: bool, remarks: &mut Vec<String>) -> Result<Payload, String> {
    remarks.extend(built.remarks);
    let url = match built.url.filter(|_| own_url) {
        Some(url) => Some(SecretUrl::parse(url.reveal()).map_err(|error| format!("url: {error}"))?),
        None => None,
    };
    let headers = built.headers.into_iter().map(|(name, value)| (name, Secret::new(value.reveal()))).collect();
    let body = String::from_utf8(built.body).map_err(|_| "the body is not UTF-8".to_owned())?;
    Ok(Payload::Http(HttpMessage { method: built.method, url, headers, body, reply, refers: None }))
}

fn slack_message(
    message: &Message<'_>,
    config: &SlackConfig,
    key: &str,
    around: &Around<'_>,
    log: &mut NotificationLog,
    remarks: &mut Vec<String>,
) -> Result<Payload, String> {
    let config = with_secrets(config)?;
    let is_api = config.has_token() || config.update_message.0;
    if !is_api {
        return http(slack::build(message, &config, None, around.templates), HttpReply::plain(), true, remarks);
    }
    let log_key = message.notification.log_key();
    let first = kept(log, &log_key, message);
    let Payload::Http(anew) =
        http(slack::build(message, &config, None, around.templates), HttpReply::slack_api(), true, remarks)?
    else {
        return Err("not an HTTP message".to_owned());
    };
    let Some(first) = first.filter(|first| first != key) else {
        log.keep(&log_key, SLACK_KEY, key);
        return Ok(Payload::Http(anew));
    };
    // Where the message lies is known once the first one was delivered: the outbox fills it in.
    let unknown = Posted { channel: String::new(), ts: String::new() };
    let edit = slack::build(message, &config, Some(&unknown), around.templates);
    let Payload::Http(edit) = http(edit, HttpReply::slack_api(), true, remarks)? else {
        return Err("not an HTTP message".to_owned());
    };
    Ok(Payload::Http(edit.referring(Reference::slack_edit(first, anew))))
}

/// With what lies in files.
fn with_secrets(config: &SlackConfig) -> Result<SlackConfig, String> {
    let mut config = config.clone();
    if config.api_url_file.is_some() {
        config.api_url = Some(Written::new(secret_text(None, config.api_url_file.as_ref())?));
    }
    if config.app_token_file.is_some() {
        config.app_token = Some(Written::new(secret_text(None, config.app_token_file.as_ref())?));
    }
    Ok(config)
}

/// A correction of a message that is there: an edit of it, and nothing where it is gone or cannot be edited. `first` is
/// the key of the message that the receiver has, `turn` tells one correction of the same text from the next.
///
/// # Errors
/// The integration cannot edit.
pub fn correction(notification: &Notification, around: &Around<'_>, first: &str, turn: u32) -> Result<Made, String> {
    let message = Message { notification, external_url: around.external_url.trim_end_matches('/') };
    let Some(Integration::Slack(config)) = around.config.integration(&notification.integration) else {
        return Err("the integration is not in the configuration any more, or cannot edit".to_owned());
    };
    let config = with_secrets(config)?;
    if !config.has_token() && !config.update_message.0 {
        return Err("only messages that were posted with a token can be edited".to_owned());
    }
    let unknown = Posted { channel: String::new(), ts: String::new() };
    let mut remarks = Vec::new();
    let built = slack::build(&message, &config, Some(&unknown), around.templates);
    let Payload::Http(edit) = http(built, HttpReply::slack_api(), true, &mut remarks)? else {
        return Err("not an HTTP message".to_owned());
    };
    // Without anything to be sent instead: a correction is no message of its own.
    let reference = Reference { otherwise: None, ..Reference::slack_edit(first, edit.clone()) };
    let created_ms = notification.now.timestamp_millis();
    let outgoing = Outgoing {
        key: receiver::idempotency_key(&[&message.idempotency_key(), first, &turn.to_string()]),
        order_key: order_key(notification),
        integration: notification.integration.to_string(),
        created_ms,
        give_up_ms: created_ms.saturating_add(around.give_up_ms),
        payload: Payload::Http(edit.referring(reference)),
    };
    Ok(Made { outgoing, remarks })
}

/// The key of the series' first message. What has ended, a new series begins after.
fn kept(log: &NotificationLog, key: &LogKey, message: &Message<'_>) -> Option<String> {
    let entry = log.last(key, message.now())?;
    entry.kept.get(SLACK_KEY).cloned()
}

fn mail(mail: Mail, remarks: &mut Vec<String>) -> Result<Payload, String> {
    remarks.extend(mail.remarks);
    let to: Vec<String> = mail.to.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    let bare = |address: &String| match address.rsplit_once('<') {
        Some((_, rest)) => rest.trim_end_matches('>').trim().to_owned(),
        None => address.clone(),
    };
    let mut headers = mail.headers;
    let mut take = |name: &str| headers.remove(name);
    let (in_reply_to, references) = (take("In-Reply-To"), take("References"));
    let message_id = take("Message-ID");
    let parts = MailParts {
        from: mail.from.clone(),
        to: to.clone(),
        subject: mail.subject,
        text: Some(mail.text),
        html: Some(mail.html).filter(|html| !html.is_empty()),
        message_id,
        in_reply_to,
        references: references.into_iter().collect(),
        headers: headers.into_iter().collect(),
        ..MailParts::default()
    };
    let envelope = Envelope { from: bare(&mail.from), to: to.iter().map(bare).collect() };
    if envelope.to.is_empty() {
        return Err("no recipient: `to` came out empty".to_owned());
    }
    Ok(Payload::Mail(MailMessage { envelope, content: MailContent::Parts(parts) }))
}

/// The mails of a digest: one for each mail integration of its receiver.
pub fn digest(mail: &DigestMail, around: &Around<'_>) -> Vec<Result<Outgoing, String>> {
    let (subject, text) = email::digest(mail);
    let integrations = around.config.integrations(&mail.receiver).into_iter();
    let mails = integrations.filter_map(|(key, integration)| match integration {
        Integration::Email(config) => Some((key, config)),
        _ => None,
    });
    mails
        .map(|(key, config)| {
            let built = Mail {
                from: config.from.clone().unwrap_or_default(),
                to: config.to.clone().unwrap_or_default(),
                headers: Default::default(),
                subject: subject.clone(),
                text: text.clone(),
                html: String::new(),
                idempotency_key: mail.idempotency_key.clone(),
                remarks: Vec::new(),
            };
            let created_ms = mail.until.timestamp_millis();
            Ok(Outgoing {
                key: receiver::idempotency_key(&[&mail.idempotency_key, &key.to_string()]),
                order_key: receiver::idempotency_key(&[&mail.digest, &key.to_string()]),
                integration: key.to_string(),
                created_ms,
                give_up_ms: created_ms.saturating_add(around.give_up_ms),
                payload: self::mail(built, &mut Vec::new())?,
            })
        })
        .collect()
}

fn signature_key(config: &Config, receiver: &str) -> Result<Option<Written>, String> {
    let found = config.tidewatch.webhook_signatures.iter().find(|signature| signature.receiver == receiver);
    let key = found.map(|found| secret_text(found.key.as_ref(), found.key_file.as_ref())).transpose()?;
    Ok(key.map(Written::new))
}

/// The right side of message ids.
fn domain(external_url: &str) -> String {
    let host = url::Url::parse(external_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.filter(|host| !host.is_empty()).unwrap_or_else(|| "tidewatch.local".to_owned())
}
