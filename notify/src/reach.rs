//! Can a receiver be reached? Its name is looked up, a connection is made, and for `https` the certificate is checked.
//! Nothing is sent.

use crate::secret::SecretUrl;
use crate::tls::TlsSettings;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_platform_verifier::Verifier;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// Why a receiver cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Its name is not known.
    #[error("the name {host} is not found: {reason}")]
    Name {
        /// The name.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody answers there.
    #[error("no connection to {address}: {reason}")]
    Connection {
        /// Where.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The certificate is not trusted, or whoever answers speaks no TLS.
    #[error("no TLS with {address}: {reason}")]
    Tls {
        /// Where.
        address: String,
        /// What is wrong.
        reason: String,
    },
}

/// Connects and shakes hands; returns what was found. Each step takes `timeout` at most.
///
/// Errors: the step that failed.
pub async fn reach(url: &SecretUrl, tls: &TlsSettings, timeout: Duration) -> Result<String, Unreachable> {
    let (url, tls) = (url.reveal().clone(), tls.clone());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let is_tls = url.scheme() == "https";
    let address = format!("{host}:{port}");
    let lost = Unreachable::Connection { address, reason: "the task was stopped".to_owned() };
    let reached = tokio::task::spawn_blocking(move || connect(&host, port, is_tls.then_some(&tls), timeout));
    reached.await.unwrap_or(Err(lost))
}

fn connect(host: &str, port: u16, tls: Option<&TlsSettings>, timeout: Duration) -> Result<String, Unreachable> {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|e| Unreachable::Name { host: host.to_owned(), reason: e.to_string() })?;
    let mut last = Unreachable::Name { host: host.to_owned(), reason: "it has no address".to_owned() };
    for address in found {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return greet(stream, address, host, tls, timeout),
            Err(e) => last = Unreachable::Connection { address: address.to_string(), reason: e.to_string() },
        }
    }
    Err(last)
}

fn greet(
    mut stream: TcpStream,
    address: SocketAddr,
    host: &str,
    tls: Option<&TlsSettings>,
    timeout: Duration,
) -> Result<String, Unreachable> {
    let Some(tls) = tls else { return Ok(format!("connected to {address}")) };
    if tls.skip_verify {
        return Ok(format!("connected to {address}; certificates are not checked, as the settings say"));
    }
    let fail = |reason: String| Unreachable::Tls { address: address.to_string(), reason };
    let config = Arc::new(client(tls).map_err(fail)?);
    let name = ServerName::try_from(host.to_owned()).map_err(|e| fail(e.to_string()))?;
    let mut connection = ClientConnection::new(config, name).map_err(|e| fail(e.to_string()))?;
    // A socket that takes no time-out waits for the caller's.
    let _ = (stream.set_read_timeout(Some(timeout)), stream.set_write_timeout(Some(timeout)));
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|e| fail(e.to_string()))?;
    }
    connection.send_close_notify();
    let _ = connection.write_tls(&mut stream);
    Ok(format!("connected to {address}, its certificate is trusted"))
}

/// Trusts what the senders trust.
fn client(tls: &TlsSettings) -> Result<ClientConfig, String> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let Some(pem) = tls.read_ca_file()? else {
        let verifier = Verifier::new(provider).map_err(|e| e.to_string())?;
        return Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| format!("tls.ca_file: {e}"))?;
        roots.add(certificate).map_err(|e| format!("tls.ca_file: {e}"))?;
    }
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    const SOON: Duration = Duration::from_secs(5);

    fn url(text: &str) -> SecretUrl {
        SecretUrl::parse(text).unwrap()
    }

    #[tokio::test]
    async fn each_step_that_fails_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let plain = TlsSettings::default();
        let found = reach(&url(&format!("http://{address}/hook")), &plain, SOON).await.unwrap();
        assert_eq!(found, format!("connected to {address}"));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.write_all(b"220 I am a mail server\r\n");
            }
        });
        let no_tls = reach(&url(&format!("https://{address}/hook")), &plain, SOON).await.unwrap_err();
        assert!(matches!(no_tls, Unreachable::Tls { .. }), "{no_tls}");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = reach(&url(&format!("http://{closed}/")), &plain, SOON).await.unwrap_err();
        assert!(matches!(nobody, Unreachable::Connection { .. }), "{nobody}");
        let unknown = reach(&url("http://nowhere.invalid/"), &plain, SOON).await.unwrap_err();
        assert!(matches!(unknown, Unreachable::Name { .. }), "{unknown}");
    }
}
