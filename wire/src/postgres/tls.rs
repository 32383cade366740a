//! TLS by rustls.

use super::TlsFiles;
use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::ServerConfig;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::crypto::ring;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::pki_types::pem::PemObject;
use datafusion_postgres::pgwire::tokio::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::Path;
use std::sync::Arc;

pub(super) fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let wrong = |file: &Path, error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(|e| wrong(&files.certificate, &e))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|e| wrong(&files.certificate, &e))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| wrong(&files.key, &e))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|b| b.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|e| wrong(&files.certificate, &e))?;
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
