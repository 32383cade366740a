//! Settings of an integration that sends over HTTP, and the client they make.

use crate::secret::{Secret, SecretUrl};
use crate::tls::TlsSettings;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, redirect};
use serde::Deserialize;
use std::time::Duration;

/// Redirects that are followed at most, see the module.
const REDIRECTS_MAX: usize = 3;

/// How an integration sends over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Where messages go that have no URL of their own.
    pub url: Option<SecretUrl>,
    /// Who we are.
    pub authorization: Option<Authorization>,
    /// Headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// Whom to trust.
    pub tls: TlsSettings,
    /// Through whom to send.
    pub proxy: Proxy,
    /// Longest time until there is a connection.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Longest time from the beginning to the end of the answer: a connection whose other end is gone ends here.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Bytes of an answer that are read; what comes after is not.
    pub reply_bytes_max: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            url: None,
            authorization: None,
            headers: Vec::new(),
            tls: TlsSettings::default(),
            proxy: Proxy::None,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            reply_bytes_max: 64 << 10,
        }
    }
}

/// The header `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authorization {
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

/// Through whom requests go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// Straight to the receiver, whatever the environment says. As Alertmanager does by default.
    #[default]
    None,
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say when the client is made.
    Environment,
    /// Through this one.
    Url(SecretUrl),
}

impl HttpSettings {
    pub(super) fn client(&self) -> Result<Client, String> {
        let mut client = Client::builder()
            .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            // Many receivers and balancers close idle connections after a minute, and a request that meets
            // the closing is lost.
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_keepalive(Duration::from_secs(15))
            .redirect(redirect::Policy::custom(within_origin))
            .referer(false)
            .tls_danger_accept_invalid_certs(self.tls.skip_verify);
        if let Some(pem) = self.tls.read_ca_file()? {
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| format!("tls.ca_file: {e}"))?;
            if certificates.is_empty() {
                return Err("tls.ca_file: expected at least one PEM certificate, found none".to_owned());
            }
            client = client.tls_certs_only(certificates);
        }
        client = match &self.proxy {
            Proxy::None => client.no_proxy(),
            Proxy::Environment => client,
            Proxy::Url(url) => {
                let proxy = reqwest::Proxy::all(url.reveal().clone());
                client.proxy(proxy.map_err(|e| format!("proxy.url {url}: {}", e.without_url()))?)
            }
        };
        client.build().map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("no HTTP client can be made: {error}{cause}; without certificates of the system set tls.ca_file")
        })
    }

    /// True if one client can serve both.
    pub(super) fn same_client(&self, other: &Self) -> bool {
        let parts = |s: &Self| (s.tls.clone(), s.proxy.clone(), s.connect_timeout, s.timeout);
        parts(self) == parts(other)
    }

    pub(super) fn authorize(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(Authorization::Basic { user, password }) => request.basic_auth(user, Some(password.reveal())),
            Some(Authorization::Bearer(token)) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    pub(super) fn authorization_secret(&self) -> Option<&str> {
        self.authorization.as_ref().map(|authorization| match authorization {
            Authorization::Basic { password, .. } => password.reveal(),
            Authorization::Bearer(token) => token.reveal(),
        })
    }
}

/// See the module: anything else is not followed, so that the redirect itself is the answer.
fn within_origin(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let keeps_request = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&attempt.status());
    let same_origin = attempt.previous().last().is_some_and(|from| from.origin() == attempt.url().origin());
    if keeps_request && same_origin && attempt.previous().len() <= REDIRECTS_MAX {
        attempt.follow()
    } else {
        attempt.stop()
    }
}
