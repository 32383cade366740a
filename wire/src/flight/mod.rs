//! Arrow Flight SQL, by `arrow-flight` over gRPC: columns as they are, streamed while the query runs.
//!
//! | step | by |
//! |---|---|
//! | how many may connect | [`incoming`] |
//! | name and password become a token | [`auth`] |
//! | texts, tickets, prepared statements | [`service`], [`prepared`] |
//! | catalogues, schemas, tables, what the server can | [`metadata`] |
//! | rows in the columns that were announced | [`stream`] |

mod auth;
mod incoming;
mod metadata;
mod prepared;
mod service;
mod stream;

use crate::catalogue::Catalogue;
use crate::running::Running;
use arrow_flight::flight_service_server::FlightServiceServer;
use auth::Guard;
use incoming::incoming;
use service::Service;
use std::future::Future;
use std::time::Duration;
use tokio::net::TcpListener;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

/// A connection whose client does not answer for so long is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Requests of one connection at a time.
const REQUESTS_MAX: usize = 64;

/// Who may connect, and what they may keep.
#[derive(Debug, Clone)]
pub struct FlightOptions {
    /// Clients must know it, under any name; without one, whoever reaches the port may ask.
    pub password: Option<String>,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Prepared statements of all clients; the one that was used least lately makes room.
    pub prepared_max: usize,
}

/// Accepts until `stop`; streams that have begun then may end, as long as this is waited for.
///
/// Errors: the listener fails.
pub async fn serve(
    listener: TcpListener,
    options: FlightOptions,
    running: Running,
    catalogue: Catalogue,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let guard = Guard::new(options.password.as_deref());
    let clients = incoming(listener, options.connections_max, running.metrics().clone());
    let message_max = running.engine.limits().query_bytes_max.saturating_mul(2).saturating_add(1 << 20);
    let service = Service::new(running, catalogue, guard.clone(), options.prepared_max);
    let service = FlightServiceServer::new(service).max_decoding_message_size(message_max);
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .concurrency_limit_per_connection(REQUESTS_MAX)
        .add_service(InterceptedService::new(service, guard))
        .serve_with_incoming_shutdown(clients, stop)
        .await
}
