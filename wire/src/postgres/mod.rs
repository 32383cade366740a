//! Postgres' wire protocol, by `pgwire`: who may connect, how many, for how long.
//!
//! ```text
//! connection ─▶ TLS? ─▶ startup, password ─▶ messages ─▶ handler ─▶ statement ─▶ SqlEngine
//! (this file)          startup               connection  handler    session, cursors, copying
//!                                                        described ─▶ parameters, rows
//! ```

mod connection;
mod copying;
mod cursors;
pub(crate) mod described;
mod errors;
mod handler;
mod limited;
mod line;
pub(crate) mod parameters;
mod rows;
mod session;
mod startup;
mod tls;

use crate::catalogue::Catalogue;
use crate::running::Running;
use connection::converse;
use datafusion_postgres::pgwire::api::ConnectionManager;
use datafusion_postgres::pgwire::tokio::TlsAcceptor;
use handler::Handler;
use startup::Secret;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long connections may go on after a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Sockets beyond `connections_max` that may be waiting to be told so, or bring requests to cancel.
const SPARE_SOCKETS: usize = 32;

/// Who may connect, and how.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Clients must know it (SCRAM-SHA-256); without one, whoever reaches the port may ask.
    pub password: Option<String>,
    /// Certificate chain and private key, PEM; without them there is no TLS.
    pub tls: Option<TlsFiles>,
    /// Sessions at the same time.
    pub connections_max: usize,
    /// A session that sends nothing for so long is ended.
    pub idle_timeout: Duration,
}

/// Where a certificate lies.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// What all connections share.
pub(crate) struct Shared {
    handler: Arc<Handler>,
    sessions: Arc<Semaphore>,
    manager: Arc<ConnectionManager>,
    secret: Option<Secret>,
    tls: Option<TlsAcceptor>,
    options: PostgresOptions,
    running: Running,
}

/// A server that is ready to accept.
pub struct PostgresServer {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresServer").finish_non_exhaustive()
    }
}

impl PostgresServer {
    /// A server of these queries and this catalogue.
    ///
    /// Errors: the certificate or its key cannot be read.
    pub fn new(options: PostgresOptions, running: Running, catalogue: Catalogue) -> io::Result<Self> {
        let shared = Shared {
            handler: Arc::new(Handler::new(running.clone(), catalogue)),
            sessions: Arc::new(Semaphore::new(options.connections_max)),
            manager: Arc::new(ConnectionManager::new()),
            secret: options.password.as_deref().map(Secret::new),
            tls: options.tls.as_ref().map(tls::acceptor).transpose()?,
            options,
            running,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Accepts until `stop`, then tells the sessions that are open.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        let sockets = Arc::new(Semaphore::new(self.shared.options.connections_max + SPARE_SOCKETS));
        let (stopping, stopped) = watch::channel(false);
        let mut open = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                Some(_) = open.join_next(), if !open.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a client of Postgres could not be accepted");
                    // Out of file descriptors, most often: others will close some.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&sockets).try_acquire_owned() else {
                self.shared.refuse("connections");
                continue;
            };
            let (shared, stopped) = (Arc::clone(&self.shared), stopped.clone());
            open.spawn(async move {
                if let Err(error) = converse(shared, socket, stopped).await {
                    tracing::debug!(%peer, %error, "a connection of Postgres has ended");
                }
                drop(place);
            });
        }
        // Nobody may be listening any more.
        let _ = stopping.send(true);
        let all_ended = async { while open.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, all_ended).await.is_err() {
            open.abort_all();
        }
        Ok(())
    }
}

impl Shared {
    fn refuse(&self, reason: &str) {
        self.running.metrics().refused.with_label_values(&["postgres", reason]).inc();
    }
}
