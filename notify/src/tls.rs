//! Whom to trust.

use serde::{Deserialize, Serialize};
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
