//! Connections to an SMTP server: made with TLS and log-in as the settings say, kept for a while, tested
//! before they are used again.

use super::transaction::Failure;
use crate::secret::Secret;
use crate::tls::TlsSettings;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, SmtpConnection, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::Noop;
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::Response;
use serde::Deserialize;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How an integration sends mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmtpSettings {
    /// The server.
    pub host: String,
    /// Its port: usually 587 with `start_tls`, 465 with `implicit`, 25 with `none`.
    pub port: u16,
    /// How the connection is encrypted.
    pub encryption: SmtpTls,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// Who we are.
    pub auth: Option<SmtpAuth>,
    /// Name in `EHLO`; by default this machine's.
    pub hello: Option<String>,
    /// Longest time until there is a connection to one address of the host.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Longest time for a mail, connecting included.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Idle connections that are kept.
    pub idle_connections_max: usize,
    /// How long an idle connection is kept. Servers close theirs after some minutes.
    #[serde(with = "humantime_serde")]
    pub idle_max: Duration,
}

impl Default for SmtpSettings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 587,
            encryption: SmtpTls::StartTls,
            tls: TlsSettings::default(),
            auth: None,
            hello: None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
            idle_connections_max: 4,
            idle_max: Duration::from_secs(30),
        }
    }
}

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// `STARTTLS`, and nothing is sent if the server does not offer it.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None: for a relay on this machine.
    None,
}

/// User and password, sent by `AUTH PLAIN` or `AUTH LOGIN`, whichever the server offers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpAuth {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A connection that is in use. Each step may last until the deadline of the mail.
pub(super) struct Connection {
    smtp: SmtpConnection,
    deadline: Instant,
}

impl Connection {
    /// Sends a command and reads its answer.
    pub(super) fn command(&mut self, command: impl fmt::Display) -> Result<Response, Error> {
        self.until_deadline();
        self.smtp.command(command)
    }

    /// Sends the mail itself and reads the answer.
    pub(super) fn message(&mut self, bytes: &[u8]) -> Result<Response, Error> {
        self.until_deadline();
        self.smtp.message(bytes)
    }

    /// Whether the server has an extension.
    pub(super) fn offers(&self, extension: Extension) -> bool {
        self.smtp.server_info().supports_feature(extension)
    }

    /// Says good-bye.
    pub(super) fn quit(&mut self) {
        self.until_deadline();
        let _ = self.smtp.quit();
    }

    fn until_deadline(&mut self) {
        let left = self.deadline.saturating_duration_since(Instant::now()).max(TIMEOUT_MIN);
        // A socket that cannot be told so is closed, which the next step says.
        let _ = self.smtp.set_timeout(Some(left));
    }
}

/// Zero would mean "forever" to the socket.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// Makes and keeps connections to one server.
pub(super) struct Connections {
    settings: SmtpSettings,
    tls: Option<TlsParameters>,
    hello: ClientId,
    idle: Mutex<Vec<(SmtpConnection, Instant)>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(settings: SmtpSettings) -> Result<Self, String> {
        let local = matches!(settings.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        if settings.auth.is_some() && settings.encryption == SmtpTls::None && !local {
            let host = &settings.host;
            return Err(format!(
                "auth with encryption none would show the password on the way to {host}: set start_tls"
            ));
        }
        let tls = match settings.encryption {
            SmtpTls::None => None,
            SmtpTls::StartTls | SmtpTls::Implicit => Some(tls_parameters(&settings)?),
        };
        let hello = settings.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self { settings, tls, hello, idle: Mutex::default() })
    }

    pub(super) fn settings(&self) -> &SmtpSettings {
        &self.settings
    }

    /// The server, for people.
    pub(super) fn target(&self) -> String {
        format!("smtp://{}:{}", self.settings.host, self.settings.port)
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.settings.auth.as_ref().map(|auth| auth.password.reveal())
    }

    /// A connection that is ready for a mail which must be sent until `deadline`.
    pub(super) fn take(&self, deadline: Instant) -> Result<Connection, Failure> {
        while let Some(smtp) = self.take_idle() {
            let mut connection = Connection { smtp, deadline };
            if connection.command(Noop).is_ok() {
                return Ok(connection);
            }
        }
        self.connect(deadline)
    }

    fn take_idle(&self) -> Option<SmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, since) = idle.pop()?;
        if since.elapsed() <= self.settings.idle_max {
            return Some(connection);
        }
        // The newest is too old, so all are. The servers notice when they are dropped.
        idle.clear();
        None
    }

    /// Keeps a connection for the next mail.
    pub(super) fn give_back(&self, mut connection: Connection) {
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < self.settings.idle_connections_max && !connection.smtp.has_broken() {
                idle.push((connection.smtp, Instant::now()));
                return;
            }
        }
        connection.quit();
    }

    fn connect(&self, deadline: Instant) -> Result<Connection, Failure> {
        let settings = &self.settings;
        let implicit = self.tls.as_ref().filter(|_| settings.encryption == SmtpTls::Implicit);
        let server = (settings.host.as_str(), settings.port);
        let timeout = Some(settings.connect_timeout);
        let connected = SmtpConnection::connect(server, timeout, &self.hello, implicit, None);
        let mut smtp = connected.map_err(|error| Failure::of_settings("connecting", &error))?;
        if let Some(tls) = self.tls.as_ref().filter(|_| settings.encryption == SmtpTls::StartTls) {
            smtp.starttls(tls, &self.hello).map_err(|error| Failure::of_settings("STARTTLS", &error))?;
        }
        if let Some(auth) = &settings.auth {
            let credentials = Credentials::new(auth.user.clone(), auth.password.reveal().to_owned());
            let logged_in = smtp.auth(&[Mechanism::Plain, Mechanism::Login], &credentials);
            logged_in.map_err(|error| Failure::of_settings("AUTH", &error))?;
        }
        Ok(Connection { smtp, deadline })
    }
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParametersBuilder::new(settings.host.clone());
    if let Some(pem) = settings.tls.read_ca_file()? {
        let authorities = Certificate::from_pem(&pem).map_err(|error| format!("tls.ca_file: {error}"))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
    }
    let skip = settings.tls.skip_verify;
    let builder = builder.dangerous_accept_invalid_certs(skip).dangerous_accept_invalid_hostnames(skip);
    builder.build().map_err(|error| format!("no TLS: {error}; without certificates of the system set tls.ca_file"))
}
