//! Which integration sends a message: its settings by name, and the senders made of them.

use crate::attempt::{Outcome, Recipients, Reply, Report};
use crate::http::{HttpSender, HttpSettings};
use crate::mail::{MailSender, SmtpSettings};
use crate::message::{Outgoing, Payload};
use crate::retry::DeliverySettings;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

/// A message to be sent now.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message: Arc<Outgoing>,
    /// Recipients of a mail that earlier attempts have settled.
    pub recipients: Recipients,
    /// The reply that the message refers to, if there is one.
    pub referred: Option<Reply>,
    /// The time, milliseconds since the epoch.
    pub now_ms: i64,
}

/// What the worker sends with.
pub trait Transport: Debug + Send + Sync {
    /// Sends a message, and ends in bounded time whatever the receiver does.
    fn send(&self, delivery: Delivery) -> BoxFuture<'static, Report>;

    /// How the messages of an integration are delivered.
    fn delivery_settings(&self, integration: &str) -> DeliverySettings;
}

/// Settings of an integration. One per receiver, so that one that is down does not hold up another's messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntegrationSettings {
    /// How HTTP messages are sent.
    pub http: HttpSettings,
    /// How mails are sent; without it they are not.
    pub mail: Option<SmtpSettings>,
    /// How many at once, and when again.
    pub delivery: DeliverySettings,
}

/// What is wrong with the settings of an integration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("integration {integration}: {what}")]
pub struct SettingsError {
    /// Its name.
    pub integration: String,
    /// What, and what to do.
    pub what: String,
}

#[derive(Debug)]
struct Integration {
    http: HttpSender,
    mail: Option<MailSender>,
    delivery: DeliverySettings,
}

type Senders = BTreeMap<String, Arc<Integration>>;

/// All integrations by name. Can be replaced while messages wait: they are sent with the new settings.
#[derive(Debug)]
pub struct Integrations {
    senders: RwLock<Arc<Senders>>,
}

impl Integrations {
    /// Makes the senders; reads certificates, connects to nobody.
    ///
    /// Errors: what is wrong with the first integration that cannot work.
    pub fn new(settings: &BTreeMap<String, IntegrationSettings>) -> Result<Self, SettingsError> {
        Ok(Self { senders: RwLock::new(Arc::new(senders(settings)?)) })
    }

    /// Takes other settings. What is on its way ends with the old ones.
    ///
    /// Errors: as [`new`](Self::new); then the old ones stay.
    pub fn replace(&self, settings: &BTreeMap<String, IntegrationSettings>) -> Result<(), SettingsError> {
        let senders = Arc::new(senders(settings)?);
        *self.senders.write().unwrap_or_else(PoisonError::into_inner) = senders;
        Ok(())
    }

    fn integration(&self, name: &str) -> Option<Arc<Integration>> {
        self.senders.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

fn senders(settings: &BTreeMap<String, IntegrationSettings>) -> Result<Senders, SettingsError> {
    let mut senders = Senders::new();
    for (name, settings) in settings {
        let failed = |what| SettingsError { integration: name.clone(), what };
        // Clients with the same settings share their connections, and the memory of their certificates.
        let shared = senders.values().find_map(|other| other.http.sharing(&settings.http));
        let http = shared.map_or_else(|| HttpSender::new(settings.http.clone()), Ok).map_err(failed)?;
        let mail = settings.mail.clone().map(MailSender::new).transpose().map_err(failed)?;
        let delivery = settings.delivery.clone();
        senders.insert(name.clone(), Arc::new(Integration { http, mail, delivery }));
    }
    Ok(senders)
}

impl Transport for Integrations {
    fn send(&self, delivery: Delivery) -> BoxFuture<'static, Report> {
        let Delivery { message, recipients, referred, now_ms } = delivery;
        let integration = self.integration(&message.integration);
        Box::pin(async move {
            let misconfigured = |what: &str| {
                let detail = format!("integration {} {what}", message.integration);
                Report::new(Outcome::Misconfigured, detail)
            };
            let Some(integration) = integration else { return misconfigured("is not in the settings") };
            match &message.payload {
                Payload::Http(http) => integration.http.send(http, &message.key, referred.as_ref(), now_ms).await,
                Payload::Mail(mail) => match &integration.mail {
                    Some(sender) => sender.send(mail, &message.key, message.created_ms, &recipients).await,
                    None => misconfigured("has no mail server: set mail.host"),
                },
            }
        })
    }

    fn delivery_settings(&self, integration: &str) -> DeliverySettings {
        self.integration(integration).map(|integration| integration.delivery.clone()).unwrap_or_default()
    }
}
