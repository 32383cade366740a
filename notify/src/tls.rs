//! Whom to trust.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::PathBuf;

/// Which certificates are accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM file of certificate authorities to trust instead of the machine's.
    pub ca_file: Option<PathBuf>,
    /// Accepts any certificate. Whoever is on the way can read and change everything.
    pub skip_verify: bool,
}

impl TlsSettings {
    /// Reads the file of authorities.
    ///
    /// Errors: it cannot be read.
    pub(crate) fn read_ca_file(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let read = std::fs::read(path);
        read.map(Some).map_err(|error| format!("tls.ca_file: cannot read {}: {error}", path.display()))
    }
}

/// True if TLS is among the causes of an error. Several I/O errors may be wrapped around it, which keep what they
/// wrap out of the chain of sources.
pub(crate) fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner)) || error.source().is_some_and(is_tls)
}
