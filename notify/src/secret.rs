//! Values that must not be seen in logs, errors or `Debug`: tokens, passwords, URLs that contain them.

use serde::{Deserialize, Serialize};
use std::fmt;
use url::Url;

/// A token or password. `Debug` and `Display` do not show it; serialising does, because the outbox has to
/// keep what it must send (its folder is readable by its owner only).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the wire only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// An `http` or `https` URL. Paths and queries of webhooks are credentials, so it is shown as scheme, host and
/// eight hexadecimal digits (32 bits of a hash of the whole) by which two URLs of a host can be told apart.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretUrl(Url);

/// Why a text is no URL that can be sent to. Does not repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not parse.
    #[error("expected an absolute URL such as https://host/path, found none: {0}")]
    Syntax(url::ParseError),
    /// Another scheme.
    #[error("expected a URL that begins with http:// or https://, found {0}:")]
    Scheme(String),
}

impl SecretUrl {
    /// Parses a URL.
    ///
    /// Errors: no absolute URL, or of another scheme than `http` and `https`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(UrlError::Syntax)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        Ok(Self(url))
    }

    /// The URL, for the wire only.
    pub fn reveal(&self) -> &Url {
        &self.0
    }

    /// Parts of the URL that an error text must not repeat: user, password, path, query.
    pub(crate) fn secret_parts(&self) -> impl Iterator<Item = &str> {
        let query = self.0.query().into_iter();
        [self.0.path(), self.0.username()].into_iter().chain(self.0.password()).chain(query)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        let hash = xxhash_rust::xxh3::xxh3_64(self.0.as_str().as_bytes());
        write!(f, "/#{:08x}", hash >> 32)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for SecretUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        Self::parse(&text)
    }
}

impl From<SecretUrl> for String {
    fn from(url: SecretUrl) -> Self {
        url.0.into()
    }
}

/// Longest text of an error or a reply that is kept.
const DETAIL_BYTES_MAX: usize = 600;
/// A shorter "secret" (`/`, a user `me`) says nothing, and cutting it out would make texts unreadable.
const SECRET_BYTES_MIN: usize = 5;

/// A text from outside made fit for logs and the ledger: one line, bounded, none of the secrets in it.
pub(crate) fn clean<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    for secret in secrets.into_iter().filter(|s| s.len() >= SECRET_BYTES_MIN) {
        text = text.replace(secret, "<secret>");
    }
    let text = text.trim();
    if text.len() <= DETAIL_BYTES_MAX {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(DETAIL_BYTES_MAX)])
}

#[cfg(test)]
mod tests;
