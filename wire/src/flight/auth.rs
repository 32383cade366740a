//! Passwords and tokens: `Basic` with the password, under any name, or `Bearer` with the token that a handshake
//! gave for it. A token is as good as the process is old.

use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use base64::engine::{DecodePaddingMode, Engine};
use datafusion_postgres::pgwire::api::auth::sasl::scram::random_nonce;
use std::net::SocketAddr;
use std::sync::Arc;
use tidewatch_query::gate::{client_at, client_named};
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Go's client of Flight leaves the padding away.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Lets requests pass whose clients know the password.
#[derive(Clone)]
pub(super) struct Guard(Option<Arc<Secrets>>);

struct Secrets {
    password: String,
    token: String,
}

impl Guard {
    pub fn new(password: Option<&str>) -> Self {
        let secrets = |password: &str| Arc::new(Secrets { password: password.to_owned(), token: random_nonce() });
        Self(password.map(secrets))
    }

    /// What a client sends from now on in the place of its password.
    pub fn token(&self) -> &str {
        self.0.as_ref().map_or("", |s| s.token.as_str())
    }

    fn knows(&self, metadata: &MetadataMap) -> bool {
        let Some(secrets) = &self.0 else { return true };
        let header = metadata.get("authorization").and_then(|h| h.to_str().ok()).unwrap_or_default();
        if let Some(token) = header.strip_prefix("Bearer ") {
            return is_same(token.as_bytes(), secrets.token.as_bytes());
        }
        basic_of(header).is_some_and(|(_, password)| is_same(&password, secrets.password.as_bytes()))
    }
}

/// User and password of a header.
fn basic_of(header: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let bytes = BASE64.decode(header.strip_prefix("Basic ")?).ok()?;
    let mut parts = bytes.splitn(2, |b| *b == b':');
    let user = parts.next().unwrap_or_default().to_vec();
    Some((user, parts.next().unwrap_or_default().to_vec()))
}

/// Whose turns a request takes: those of what the client says of itself, else of its user, else of its address. A token
/// is the same for all.
pub(super) fn client_of<T>(request: &Request<T>) -> String {
    client_by(request.metadata(), request.remote_addr())
}

fn client_by(metadata: &MetadataMap, peer: Option<SocketAddr>) -> String {
    let named = ["x-api-key", "x-client"]
        .iter()
        .find_map(|name| metadata.get(*name).map(|value| client_named(name, value.as_encoded_bytes())));
    let user = || {
        let (user, _) = basic_of(metadata.get("authorization")?.to_str().ok()?)?;
        (!user.is_empty()).then(|| client_named("user", &user))
    };
    named.or_else(user).or_else(|| peer.map(|peer| client_at(peer.ip()))).unwrap_or_default()
}

/// In a time that does not tell where they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        match self.knows(request.metadata()) {
            true => Ok(request),
            false => Err(Status::unauthenticated("the password is missing or wrong (flight.password)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(guard: &Guard, header: Option<&str>) -> bool {
        let mut metadata = MetadataMap::new();
        if let Some(header) = header {
            metadata.insert("authorization", header.parse().unwrap());
        }
        guard.knows(&metadata)
    }

    #[test]
    fn passwords_and_tokens_open() {
        let guard = Guard::new(Some("pass:word"));
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text));
        assert!(passes(&guard, Some(&basic("anyone:pass:word"))));
        assert!(passes(&guard, Some(basic("anyone:pass:word").trim_end_matches('='))));
        assert!(passes(&guard, Some(&format!("Bearer {}", guard.token()))));
        for wrong in [basic("anyone:pass"), basic("pass:word"), "Bearer ".to_owned(), "Bearer x".to_owned()] {
            assert!(!passes(&guard, Some(&wrong)), "{wrong}");
        }
        assert!(!passes(&guard, None));
        assert!(passes(&Guard::new(None), None));
    }

    #[test]
    fn clients_are_known_by_name_then_by_user_then_by_address() {
        let peer: Option<SocketAddr> = Some("10.0.0.7:5000".parse().unwrap());
        let of = |headers: &[(&'static str, &str)], peer: Option<SocketAddr>| {
            let mut metadata = MetadataMap::new();
            headers.iter().for_each(|(name, value)| _ = metadata.insert(*name, value.parse().unwrap()));
            client_by(&metadata, peer)
        };
        let basic = format!("Basic {}", BASE64.encode("anna:secret"));
        assert_eq!(of(&[("authorization", basic.as_str())], peer), client_named("user", b"anna"));
        assert_eq!(
            of(&[("authorization", basic.as_str()), ("x-client", "etl")], peer),
            client_named("x-client", b"etl")
        );
        assert_eq!(of(&[("authorization", "Bearer token")], peer), "10.0.0.7");
        assert_eq!(of(&[], None), "");
    }
}
