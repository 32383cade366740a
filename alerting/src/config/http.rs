//! The HTTP client's part of a configuration: authentication, TLS, proxy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{Mistake, Path};
use super::scalar::{Flag, Secret, null_default, text_map};

/// Settings of an HTTP client (`http_config`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct HttpConfig {
    pub basic_auth: Option<BasicAuth>,
    pub authorization: Option<Authorization>,
    pub oauth2: Option<OAuth2>,
    pub bearer_token: Option<Secret>,
    pub bearer_token_file: Option<String>,
    pub tls_config: Option<TlsConfig>,
    pub follow_redirects: Option<Flag>,
    pub enable_http2: Option<Flag>,
    pub proxy_url: Option<Secret>,
    pub no_proxy: Option<String>,
    pub proxy_from_environment: Option<Flag>,
    pub proxy_connect_header: Option<BTreeMap<String, Vec<Secret>>>,
    pub http_headers: Option<BTreeMap<String, HeaderValues>>,
}

/// Values of one header.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct HeaderValues {
    #[serde(deserialize_with = "null_default")]
    pub values: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    pub secrets: Vec<Secret>,
    #[serde(deserialize_with = "null_default")]
    pub files: Vec<String>,
}

/// Name and password.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct BasicAuth {
    pub username: Option<String>,
    pub username_file: Option<String>,
    pub username_ref: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<String>,
    pub password_ref: Option<String>,
}

/// An `Authorization` header.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct Authorization {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub credentials: Option<Secret>,
    pub credentials_file: Option<String>,
    pub credentials_ref: Option<String>,
}

/// OAuth 2.0 client credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct OAuth2 {
    pub client_id: Option<String>,
    pub client_secret: Option<Secret>,
    pub client_secret_file: Option<String>,
    pub client_secret_ref: Option<String>,
    pub client_certificate_key_id: Option<String>,
    pub client_certificate_key: Option<Secret>,
    pub client_certificate_key_file: Option<String>,
    pub client_certificate_key_ref: Option<String>,
    pub grant_type: Option<String>,
    pub signature_algorithm: Option<String>,
    pub iss: Option<String>,
    pub audience: Option<String>,
    pub claims: Option<serde_yaml_ng::Value>,
    #[serde(deserialize_with = "null_default")]
    pub scopes: Vec<String>,
    pub token_url: Option<String>,
    #[serde(deserialize_with = "text_map")]
    pub endpoint_params: BTreeMap<String, String>,
    pub tls_config: Option<TlsConfig>,
    pub proxy_url: Option<Secret>,
    pub no_proxy: Option<String>,
    pub proxy_from_environment: Option<Flag>,
    pub proxy_connect_header: Option<BTreeMap<String, Vec<Secret>>>,
}

/// TLS of a client.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the keys are documented by Alertmanager under the same names")]
pub struct TlsConfig {
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<Secret>,
    pub ca_file: Option<String>,
    pub cert_file: Option<String>,
    pub key_file: Option<String>,
    pub ca_ref: Option<String>,
    pub cert_ref: Option<String>,
    pub key_ref: Option<String>,
    pub server_name: Option<String>,
    pub insecure_skip_verify: Option<Flag>,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
}

/// Whether an optional text or secret is set to something.
fn set(value: Option<&str>) -> bool {
    value.is_some_and(|text| !text.is_empty())
}

fn secret(value: Option<&Secret>) -> bool {
    value.is_some_and(|secret| !secret.is_empty())
}

fn many(values: &[bool]) -> bool {
    values.iter().filter(|set| **set).count() > 1
}

impl HttpConfig {
    /// Whether requests carry an `Authorization` header of the client's own.
    pub fn has_authorization(&self) -> bool {
        self.authorization.is_some() || secret(self.bearer_token.as_ref()) || set(self.bearer_token_file.as_deref())
    }

    /// Refuses what excludes each other.
    ///
    /// # Errors
    /// The first mistake.
    pub fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let bearer = (secret(self.bearer_token.as_ref()), set(self.bearer_token_file.as_deref()));
        let wrong = |key: &str, message: &str| Err(Mistake::new(&at.key(key), message));
        if bearer.0 && bearer.1 {
            return wrong("bearer_token", "at most one of bearer_token & bearer_token_file must be configured");
        }
        if many(&[self.basic_auth.is_some(), self.oauth2.is_some(), self.authorization.is_some()])
            || (bearer.0 || bearer.1)
                && (self.basic_auth.is_some() || self.oauth2.is_some() || self.authorization.is_some())
        {
            return Err(Mistake::new(
                at,
                "at most one of basic_auth, oauth2, authorization & bearer_token must be configured",
            ));
        }
        if let Some(basic) = &self.basic_auth {
            basic.validate(&at.key("basic_auth"))?;
        }
        if let Some(authorization) = &self.authorization {
            authorization.validate(&at.key("authorization"))?;
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.validate(&at.key("oauth2"))?;
        }
        if let Some(tls) = &self.tls_config {
            tls.validate(&at.key("tls_config"))?;
        }
        let headers = self.proxy_connect_header.as_ref().is_some_and(|headers| !headers.is_empty());
        let (environment, proxy) = (self.proxy_from_environment == Some(Flag(true)), secret(self.proxy_url.as_ref()));
        if headers && !environment && !proxy {
            return wrong("proxy_connect_header", "needs proxy_url or proxy_from_environment");
        }
        if environment && (proxy || set(self.no_proxy.as_deref())) {
            return wrong("proxy_from_environment", "excludes proxy_url and no_proxy");
        }
        if !proxy && set(self.no_proxy.as_deref()) {
            return wrong("no_proxy", "needs proxy_url");
        }
        Ok(())
    }
}

impl BasicAuth {
    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let names = [self.username.as_deref(), self.username_file.as_deref(), self.username_ref.as_deref()].map(set);
        if many(&names) {
            return Err(Mistake::new(at, "at most one of username, username_file & username_ref must be configured"));
        }
        let password = secret(self.password.as_ref());
        if many(&[password, set(self.password_file.as_deref()), set(self.password_ref.as_deref())]) {
            return Err(Mistake::new(at, "at most one of password, password_file & password_ref must be configured"));
        }
        Ok(())
    }
}

impl Authorization {
    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let credentials = secret(self.credentials.as_ref());
        if many(&[credentials, set(self.credentials_file.as_deref()), set(self.credentials_ref.as_deref())]) {
            return Err(Mistake::new(at, "at most one of credentials & credentials_file must be configured"));
        }
        if self.kind.as_deref().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("basic")) {
            return Err(Mistake::new(&at.key("type"), "cannot be \"basic\"").hint("use basic_auth instead"));
        }
        Ok(())
    }
}

impl OAuth2 {
    fn validate(&self, at: &Path) -> Result<(), Mistake> {
        if !set(self.client_id.as_deref()) {
            return Err(Mistake::new(at, "client_id must be configured"));
        }
        if !set(self.token_url.as_deref()) {
            return Err(Mistake::new(at, "token_url must be configured"));
        }
        let secrets = [
            secret(self.client_secret.as_ref()),
            set(self.client_secret_file.as_deref()),
            set(self.client_secret_ref.as_deref()),
        ];
        if many(&secrets) {
            return Err(Mistake::new(at, "at most one of client_secret & client_secret_file must be configured"));
        }
        Ok(())
    }
}

impl TlsConfig {
    /// Refuses what excludes each other.
    ///
    /// # Errors
    /// The first mistake.
    pub fn validate(&self, at: &Path) -> Result<(), Mistake> {
        let ca = [self.ca.as_deref(), self.ca_file.as_deref(), self.ca_ref.as_deref()].map(set);
        let cert = [self.cert.as_deref(), self.cert_file.as_deref(), self.cert_ref.as_deref()].map(set);
        let key = [secret(self.key.as_ref()), set(self.key_file.as_deref()), set(self.key_ref.as_deref())];
        for (name, given) in [("ca", &ca), ("cert", &cert), ("key", &key)] {
            if many(given) {
                return Err(Mistake::new(
                    at,
                    format!("at most one of {name}, {name}_file & {name}_ref must be configured"),
                ));
            }
        }
        let (has_cert, has_key) = (cert.contains(&true), key.contains(&true));
        if has_cert != has_key {
            return Err(Mistake::new(at, "a client certificate needs both cert and key"));
        }
        for version in [&self.min_version, &self.max_version].into_iter().flatten() {
            if !matches!(version.as_str(), "" | "TLS10" | "TLS11" | "TLS12" | "TLS13") {
                return Err(Mistake::new(at, format!("unknown TLS version {version:?}, expected TLS10 to TLS13")));
            }
        }
        Ok(())
    }
}
